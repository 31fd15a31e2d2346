/**
 * What every queue must keep. The rule about lost connections needs a layer that also provides `QueueControl`; without it the rule is
 * left out, with that reason. Every rule uses topics and tenants of its own, so that a shared server may stand behind.
 */
import { Queue } from "../ports/Queue.ts"
import { makeSuite } from "./conformance.ts"
import { deadRules } from "./Queue.dead.ts"
import { leaseRules } from "./Queue.leases.ts"
import { sendRules } from "./Queue.sending.ts"

export { QueueControl } from "./Queue.probes.ts"

/** The rules of the Queue port. */
export const queueSuite = makeSuite("Queue", Queue, [...sendRules, ...leaseRules, ...deadRules])
