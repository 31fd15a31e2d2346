/**
 * A society that knows its members: whoever gives a member number, and what else the list holds, is confirmed. The list holds keyed hashes
 * and is made where the society keeps its table.
 */
import { definePlugin, IdentityCheck } from "@mahalla/core/plugin"
import * as Layer from "effect/Layer"
import { MemberListConfig } from "./config.ts"
import { makeMemberList } from "./MemberList.ts"

export { MemberListConfig } from "./config.ts"

export const memberList = definePlugin({
  id: "@mahalla/member-list",
  apiVersion: 1,
  config: MemberListConfig,
  provides: [IdentityCheck],
  layer: (config) => Layer.effect(IdentityCheck, makeMemberList(config))
})
