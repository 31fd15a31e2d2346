/**
 * People sign in by a one-time code on their phone, staff by a one-time link; both get a short access token. Use it in every city that does
 * not bring a login of its own.
 */
import * as Layer from "effect/Layer"
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { accountApiLayer } from "./account.ts"
import { AccountApi } from "./accountApi.ts"
import { IdentityApi, identityApiLayer } from "./api.ts"
import { signInsOfPerson } from "./people.ts"
import { signInRetention } from "./retention.ts"
import { LinkIssued, Registered, SignedIn } from "./model.ts"

export { issueLink } from "./links.ts"

export const identity = (): Module =>
  defineModule({
    id: "identity",
    events: [Registered, SignedIn, LinkIssued],
    people: [signInsOfPerson],
    retention: signInRetention,
    migrations: [readMigration("identity", new URL("./migrations/0001_identity.sql", import.meta.url))],
    api: { definition: IdentityApi.addHttpApi(AccountApi), layer: Layer.merge(identityApiLayer, accountApiLayer) }
  })
