/** Decodes messages of one tenant by the profiles of their devices: at once where it can, in the codecs' sandbox where it must. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import { type Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import type { IngestMessage } from "../../ports/DeviceIngest.ts"
import type { CodecSandbox } from "./decode/codec/sandbox.ts"
import { decode, decodeWith, type StatelessMessage } from "./decode/decode.ts"
import type { DecodeFailure, DecodeResult } from "./decode/decoding.ts"
import { type EdgeNodeState, newEdgeNode, step } from "./decode/sparkplug/step.ts"
import { isUplink } from "./decode/uplink.ts"
import { deviceNameOf } from "./rawMessages.ts"
import type { Device, Registry } from "./registry.ts"

/** Something an edge node is to be told once the batch is committed. */
export interface Ask {
  readonly device: Device
  readonly topic: string
  readonly payload: Uint8Array
}

export interface DecodedMessages {
  /** One for each message; undefined where the device is not known. */
  readonly results: ReadonlyArray<DecodeResult | undefined>
  /** States of edge nodes after these messages, to be stored with them. */
  readonly nodes: ReadonlyMap<string, EdgeNodeState>
  readonly asks: ReadonlyArray<Ask>
  /** Devices behind senders whose codec was looked for and that the registry does not know. */
  readonly unknown: ReadonlySet<string>
}

/** States of edge nodes by their device. */
export type EdgeNodes = Map<string, EdgeNodeState>

/** What the profile means by `profile`. */
const formatOf = (message: IngestMessage, device: Device): IngestMessage["format"] => {
  if (message.format !== "profile") return message.format
  const { format } = device.profile.definition
  return format === "codec" ? "profile" : format
}

/** States of edge nodes as they are stored. */
const loadNodes = Effect.fnUntraced(function* (devices: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string; state: EdgeNodeState }>`
    select device_id as id, state from mahalla.edge_node where tenant_id = ${tenantId} and device_id = any (${devices}::uuid[])`
  return new Map(rows.map(({ id, state }) => [id, state]))
})

const stepAll = Effect.fnUntraced(function* (
  messages: ReadonlyArray<{ readonly place: number; readonly message: IngestMessage; readonly device: Device }>,
  carried: EdgeNodes | undefined
) {
  // Copied: a batch may be decoded twice.
  const nodes: EdgeNodes =
    carried === undefined ? yield* loadNodes([...new Set(messages.map(({ device }) => device.id))]) : new Map(carried)
  const results = new Map<number, DecodeResult>()
  const asks: Array<Ask> = []
  for (const { device, message, place } of messages) {
    const result = step(nodes.get(device.id) ?? newEdgeNode, message)
    if (Result.isFailure(result)) {
      results.set(place, Result.fail(result.failure))
      continue
    }
    const { ask, decoding, state } = result.success
    nodes.set(device.id, state)
    results.set(place, Result.succeed(decoding))
    if (ask !== undefined) asks.push({ device, ...ask })
  }
  return { results, nodes, asks }
})

/** `carried`: of messages that are decoded again, the edge nodes as they were at that place; what is stored of them is of today. */
export type DecodeAll = (
  tenantId: string,
  registry: Registry,
  messages: ReadonlyArray<IngestMessage>,
  carried?: EdgeNodes
) => Effect.Effect<DecodedMessages, SqlError, Database>

export const makeDecodeAll =
  (sandbox: CodecSandbox["Service"]): DecodeAll =>
  (tenantId, registry, messages, carried) =>
    Effect.gen(function* () {
      const unknown = new Set<string>()
      const results: Array<DecodeResult | undefined> = []
      const slow: Array<{ readonly place: number; readonly message: StatelessMessage; readonly device: Device }> = []
      const sparkplug: Array<{ readonly place: number; readonly message: IngestMessage; readonly device: Device }> = []
      messages.forEach((message, place) => {
        const device = registry.byName.get(deviceNameOf(message))
        results.push(undefined)
        if (device === undefined || device.blocked) return
        const format = formatOf(message, device)
        if (format === "sparkplug") {
          sparkplug.push({ place, message, device })
          return
        }
        const stateless = (format === message.format ? message : { ...message, format }) as StatelessMessage
        const decoded = decode(stateless, { gateway: device.gateway })
        if (Result.isSuccess(decoded) && isUplink(decoded.success)) slow.push({ place, message: stateless, device })
        else results[place] = decoded as DecodeResult
      })
      const decoded = yield* Effect.forEach(
        slow,
        ({ device, message }) =>
          Effect.result(
            decodeWith(message, { gateway: device.gateway }, sandbox, (name) =>
              Effect.sync(() => {
                const of = name === undefined ? device : registry.byName.get(name)
                if (of === undefined) unknown.add(name!)
                return of?.profile.definition.codec
              })
            )
          ),
        { concurrency: 8 }
      )
      slow.forEach(({ place }, index) => (results[place] = decoded[index] as Result.Result<never, DecodeFailure>))
      if (sparkplug.length === 0) return { results, nodes: new Map<string, EdgeNodeState>(), asks: [], unknown }
      const { asks, nodes, results: stepped } = yield* withTenant(tenantId)(stepAll(sparkplug, carried))
      for (const [place, result] of stepped) results[place] = result
      return { results, nodes, asks, unknown }
    })
