/**
 * People sign in by a one-time code on their phone, a passkey or an outside OpenID provider, staff by a one-time link and a second factor,
 * servers by a key. A sign-in is a session that its owner sees and ends. Registers of people confirm who somebody is. Use it in every city that
 * does not bring a login of its own.
 */
import * as Layer from "effect/Layer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { accountApiLayer } from "./account.ts"
import { AccountApi } from "./accountApi.ts"
import { IdentityApi } from "./api.ts"
import { apiKeysHandlers } from "./apiKeysHandlers.ts"
import { checkJob, recoverChecks } from "./checksJob.ts"
import { checksHandlers } from "./checksHandlers.ts"
import { layerNewDevices } from "./devices.ts"
import { identityEvents } from "./events.ts"
import { factorsHandlers } from "./factorsHandlers.ts"
import { tellJob } from "./notices.ts"
import { openIdAdminHandlers } from "./openIdAdminHandlers.ts"
import { OpenIdClients } from "./openIdClient.ts"
import { openIdHandlers } from "./openIdHandlers.ts"
import { openIdSealed } from "./openIdSealed.ts"
import { passkeysHandlers } from "./passkeysHandlers.ts"
import { identityOfPerson } from "./people.ts"
import { identityRetention } from "./retention.ts"
import { sealedChecks, sealedSecrets } from "./sealed.ts"
import { sessionsHandlers, signInHandlers } from "./signInHandlers.ts"
import { sweepIdentity } from "./sweep.ts"

export { proveFactor, resetFactors } from "./factors.ts"
export { issueLink } from "./links.ts"
export { beginSession } from "./signIn.ts"
export { personByCode, type Proved, sendCodeTo } from "./byPhone.ts"
export { Phone } from "./model.ts"
export { verified } from "./verified.ts"

export const identity = (): Module =>
  defineModule({
    id: "identity",
    requires: ["security"],
    events: identityEvents,
    permissions: [
      "api-key.create",
      "api-key.read",
      "api-key.revoke",
      "factor.reset",
      "identity-check.revoke",
      "openid-provider.read",
      "openid-provider.write",
      "openid-link.read",
      "openid-link.write"
    ],
    jobs: [tellJob, checkJob],
    schedules: [
      { id: "identity.sweep", cron: "50 * * * *", run: sweepIdentity },
      { id: "identity.checks", cron: "*/10 * * * *", run: recoverChecks }
    ],
    layer: Layer.merge(layerNewDevices, OpenIdClients.layer),
    people: identityOfPerson,
    retention: identityRetention,
    sealed: [sealedChecks, sealedSecrets, ...openIdSealed],
    migrations: [
      "0001_identity.sql",
      "0002_sessions-and-factors.sql",
      "0003_identity-checks.sql",
      "0004_openid.sql",
      "0005_batches.sql"
    ].map((file) => readMigration("identity", new URL(`./migrations/${file}`, import.meta.url))),
    api: {
      definition: IdentityApi.addHttpApi(AccountApi),
      layer: Layer.merge(
        HttpApiBuilder.layer(IdentityApi).pipe(
          Layer.provide([
            signInHandlers,
            sessionsHandlers,
            factorsHandlers,
            passkeysHandlers,
            apiKeysHandlers,
            checksHandlers,
            openIdHandlers,
            openIdAdminHandlers
          ])
        ),
        accountApiLayer
      )
    }
  })
