/** Everything that the module answers over HTTP. */
import { cityApi } from "../../kernel/http/cityApi.ts"
import { ApiKeysGroup } from "./apiKeysApi.ts"
import { ChecksGroup } from "./checksApi.ts"
import { FactorsGroup } from "./factorsApi.ts"
import { OpenIdAdminGroup, OpenIdGroup } from "./openIdApi.ts"
import { PasskeysGroup } from "./passkeysApi.ts"
import { SessionsGroup, SignInGroup } from "./signInApi.ts"

export const IdentityApi = cityApi("identity")
  .add(SignInGroup)
  .add(SessionsGroup)
  .add(FactorsGroup)
  .add(PasskeysGroup)
  .add(ApiKeysGroup)
  .add(ChecksGroup)
  .add(OpenIdGroup)
  .add(OpenIdAdminGroup)
  .prefix("/v1")
