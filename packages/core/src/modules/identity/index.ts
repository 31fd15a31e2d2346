/**
 * People sign in by a one-time code on their phone or a passkey, staff by a one-time link and a second factor, servers by a key. A sign-in is a
 * session that its owner sees and ends. Use it in every city that does not bring a login of its own.
 */
import * as Layer from "effect/Layer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { accountApiLayer } from "./account.ts"
import { AccountApi } from "./accountApi.ts"
import { IdentityApi } from "./api.ts"
import { apiKeysHandlers } from "./apiKeysHandlers.ts"
import { identityEvents } from "./events.ts"
import { factorsHandlers } from "./factorsHandlers.ts"
import { tellJob } from "./notices.ts"
import { passkeysHandlers } from "./passkeysHandlers.ts"
import { identityOfPerson } from "./people.ts"
import { signInRetention } from "./retention.ts"
import { sealedSecrets } from "./sealed.ts"
import { sessionsHandlers, signInHandlers } from "./signInHandlers.ts"
import { sweepIdentity } from "./sweep.ts"

export { resetFactors } from "./factors.ts"
export { issueLink } from "./links.ts"
export { beginSession } from "./signIn.ts"
export { personByCode, sendCodeTo } from "./byPhone.ts"
export { Phone } from "./model.ts"

export const identity = (): Module =>
  defineModule({
    id: "identity",
    requires: ["security"],
    events: identityEvents,
    permissions: ["api-key.create", "api-key.read", "api-key.revoke", "factor.reset"],
    jobs: [tellJob],
    schedules: [{ id: "identity.sweep", cron: "50 * * * *", run: sweepIdentity }],
    people: identityOfPerson,
    retention: signInRetention,
    sealed: [sealedSecrets],
    migrations: [
      readMigration("identity", new URL("./migrations/0001_identity.sql", import.meta.url)),
      readMigration("identity", new URL("./migrations/0002_sessions-and-factors.sql", import.meta.url))
    ],
    api: {
      definition: IdentityApi.addHttpApi(AccountApi),
      layer: Layer.merge(
        HttpApiBuilder.layer(IdentityApi).pipe(
          Layer.provide([signInHandlers, sessionsHandlers, factorsHandlers, passkeysHandlers, apiKeysHandlers])
        ),
        accountApiLayer
      )
    }
  })
