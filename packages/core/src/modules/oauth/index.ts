/**
 * Apps of third parties act for citizens who let them: an OAuth 2 and OpenID provider under `/oauth`, consent pages, self-service for
 * developers. Use it where others build on the city; it needs `identity()`, a public https address, and `city.node.request`.
 */
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { layerAppTokens } from "./access.ts"
import { AppsApi, appsApiLayer } from "./api.ts"
import { sweep } from "./errors.ts"
import { AppDecided, AppDeleted, AppRegistered, AppSecretRotated, ConsentGiven, ConsentRevoked } from "./model.ts"
import { openMount, takes } from "./mount.ts"
import { oauthOfPerson } from "./people.ts"

export const oauth = (): Module =>
  defineModule({
    id: "oauth",
    requires: ["identity"],
    events: [AppRegistered, AppDecided, AppSecretRotated, AppDeleted, ConsentGiven, ConsentRevoked],
    permissions: ["app.read", "app.write", "app.approve"],
    people: oauthOfPerson,
    schedules: [{ id: "oauth.sweep", cron: "*/15 * * * *", run: sweep }],
    migrations: [readMigration("oauth", new URL("./migrations/0001_oauth.sql", import.meta.url))],
    api: { definition: AppsApi, layer: appsApiLayer },
    layer: layerAppTokens,
    mount: { takes, open: openMount }
  })
