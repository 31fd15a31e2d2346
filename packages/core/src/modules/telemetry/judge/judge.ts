/**
 * Detection and rules over a tenant's readings, in the order of the batches. What is found is written at once, keyed so that finding it again changes
 * nothing; what is remembered is written now and then together with the place, so that after a crash the same readings are judged from the same state.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { canonical } from "../../../kernel/canonical.ts"
import { type Database, withTenant } from "../../../kernel/db/Database.ts"
import { tenantById } from "../../../kernel/tenancy/resolve.ts"
import { applyAlertEffects } from "../../control-room/index.ts"
import { quality } from "../check.ts"
import {
  believedTime,
  type DatastreamState,
  detect,
  type DetectSettings,
  freshState,
  utcOffsetIn
} from "../detect/index.ts"
import type { Follower, Gathering, Hearing } from "../Follower.ts"
import type { Stream } from "../registry.ts"
import { rulesInForce } from "../ruleCheck.ts"
import { compileRules } from "../rules/compile.ts"
import type { RuleDefinition } from "../rules/definition.ts"
import { evaluate } from "../rules/evaluate.ts"
import type { Fact, RuleEffect } from "../rules/facts.ts"
import { placeOf } from "../rules/geofence.ts"
import type { TenantTime } from "../rules/hours.ts"
import { makeState, takeChanged } from "../rules/state.ts"
import { decode, freeze } from "../rules/store.ts"
import { type KnownDevice, loadDevices, loadHead, loadJudgedAt, loadRules, loadStates } from "./load.ts"
import { propagated } from "./propagate.ts"
import { reconcile } from "./reconcile.ts"
import { makeFrozen, unpackStates } from "./states.ts"
import { type Concerned, type FoundAlert, located } from "./whereabouts.ts"
import { alertEffect, type FoundAnomaly, writeAnomalies, writeStates } from "./write.ts"

const followerId = "judge"
/** Milliseconds that readings usually need to arrive: so long after a time nothing is concluded from silence about it. */
const lateness = 10_000
/** Effects that the control room takes at once, and anomalies of one statement. */
const most = 1000
/** Devices whose states are written by one statement. */
const piece = 100

interface Seen {
  readonly stream: Stream
  readonly state: DatastreamState
}

const open = Effect.fnUntraced(function* (tenantId: string, coded: ReadonlyArray<RuleDefinition>) {
  const tenant = yield* tenantById(tenantId)
  const { calendar, timeZone } = tenant!.settings
  let time: TenantTime = { timeZone, holidays: calendar.holidays }
  let utcOffset = utcOffsetIn(timeZone)
  const devices = new Map<string, KnownDevice>()
  const streams = new Map<number, Seen>()
  const remembered = new Map<number, DatastreamState>()
  const dirty = new Set<string>()
  const frozen = makeFrozen()
  const titles = new Map<string, string>()

  /** Of what the rules were compiled; another compilation of the same would have every device's rules wired anew. */
  let source: string | undefined
  const compiled = (own: Effect.Success<typeof loadRules>) => {
    const known = canonical([own, time])
    if (known === source) return rules
    source = known
    const inForce = rulesInForce(own, coded)
    titles.clear()
    for (const { id, title } of inForce) titles.set(id, title.en)
    return compileRules(inForce, time)
  }

  const stored = yield* loadStates
  for (const packed of stored.devices) for (const [number, state] of unpackStates(packed)) remembered.set(number, state)
  let { registry, sensitivity } = yield* loadHead
  let rules = compileRules([], time)
  rules = compiled(yield* loadRules)
  const state = makeState(rules)
  decode(state, stored.originators)

  /** So far everything has been judged: a change of a device counts from here, for its readings may still wait. Undefined: nothing has been. */
  let reached: number | undefined
  const reach = (at: number) => (reached = Math.max(reached ?? at, at))
  const judgedAt = yield* loadJudgedAt(followerId)
  /**
   * `since`: when they changed. At first they are what they have been since they were registered; who nothing is remembered of, though others were
   * judged, is new to the rules and not silent since then. So is who was blocked and may send again.
   */
  const introduce = (known: ReadonlyArray<KnownDevice>, since?: number): ReadonlyArray<Fact> => {
    for (const device of known) devices.set(device.facts.id, device)
    return known.map(({ createdAt, facts }): Fact => ({
      ...{ kind: "device", at: since ?? Math.max(createdAt, reached ?? judgedAt), device: facts }
    }))
  }
  const pending: Array<Fact> = [...introduce((yield* loadDevices(undefined)).known)]
  let isReconciled = false
  /** Nothing is concluded of the time after it. */
  let heardUntil = -Infinity
  /** The latest outage that rules know of began then. */
  let deaf: number | undefined

  const settingsOf = ({ device }: Stream): DetectSettings => {
    const { interval, sensitivity: own } = device.profile.definition
    const used = own ?? sensitivity
    return {
      utcOffset,
      ...(used === undefined ? {} : { sensitivity: used }),
      ...(interval === undefined ? {} : { interval })
    }
  }
  let settings = new WeakMap<Stream, DetectSettings>()

  const seenOf = (stream: Stream): Seen => {
    const found = streams.get(stream.number)
    if (found !== undefined) {
      if (found.stream === stream) return found
      const again = { stream, state: found.state }
      streams.set(stream.number, again)
      return again
    }
    const made = { stream, state: remembered.get(stream.number) ?? freshState() }
    remembered.delete(stream.number)
    streams.set(stream.number, made)
    return made
  }

  /** Found, and not yet told. */
  let effects: Array<FoundAlert> = []
  let anomalies: Array<FoundAnomaly> = []
  const note = (effect: RuleEffect) => {
    const { originator, rule } = effect
    const ids = effect.do === "raise" ? (rules.membersOf(originator, rule) ?? [originator]) : []
    const concerned = ids.flatMap((id): ReadonlyArray<Concerned> => {
      const device = devices.get(id)
      const member = state.originators.get(originator)?.members.get(id)
      return device === undefined
        ? []
        : [{ device, place: member === undefined ? device.facts.place : placeOf(member) }]
    })
    effects.push({ effect: alertEffect(effect, titles.get(rule) ?? rule, devices.get(originator)), concerned })
  }

  /** Alerts first: an anomaly that nobody has been told of is looked up later, an alert is not. */
  const tell = Effect.gen(function* () {
    const [alerts, found] = [effects, anomalies]
    effects = []
    anomalies = []
    for (let from = 0; from < alerts.length; from += most)
      yield* withTenant(tenantId)(
        located(alerts.slice(from, from + most)).pipe(Effect.flatMap(propagated), Effect.flatMap(applyAlertEffects))
      )
    for (let from = 0; from < found.length; from += most)
      yield* withTenant(tenantId)(writeAnomalies(found.slice(from, from + most)))
  }) as Effect.Effect<void, never, Database>

  const take: Gathering["take"] = ({ readings, receivedAt }) =>
    Effect.sync(() => {
      const facts: Array<Fact> = pending.splice(0)
      for (const { at, quality: marks, sequence, stream, value } of readings) {
        if ((marks & quality.historical) !== 0) continue
        const { state: memory } = seenOf(stream)
        let setting = settings.get(stream)
        if (setting === undefined) settings.set(stream, (setting = settingsOf(stream)))
        const device = stream.device.id
        const { key } = stream.definition
        frozen.keep(device)
        dirty.add(device)
        const reading = { at, value, receivedAt }
        // Whole milliseconds, as what is stored of an episode's name.
        const time = Math.round(believedTime(reading))
        // Of several that are ahead each is a reading of its own.
        const ahead = at - time
        facts.push({ kind: "reading", device, key, at: time, sequence: ahead > 0 ? ahead : sequence, value })
        for (const anomaly of detect(stream.definition, setting, memory, reading)) {
          anomalies.push({ datastream: stream.number, anomaly })
          facts.push({ kind: "anomaly", device, key, anomaly: ahead > 0 ? { ...anomaly, at: time } : anomaly })
        }
      }
      reach(receivedAt - lateness)
      for (const effect of evaluate(rules, state, facts)) note(effect)
    })

  /** Rules, devices, time zone and holidays that have changed: for what is judged next. */
  const know = (current: number, present: TenantTime, hearing: Hearing) =>
    Effect.gen(function* () {
      heardUntil = hearing.now
      for (const { from, until } of hearing.deaf.filter(({ from }) => from > (deaf ?? -Infinity))) {
        deaf = from
        pending.push({ kind: "deaf", from, at: until })
      }
      const moved = canonical(present) !== canonical(time)
      if (moved) {
        utcOffset = utcOffsetIn(present.timeZone)
        time = { timeZone: present.timeZone, holidays: present.holidays }
      }
      if (current === registry && !moved) return
      const news = yield* withTenant(tenantId)(
        Effect.gen(function* () {
          const head = yield* loadHead
          return { head, changed: yield* loadDevices(registry), own: yield* loadRules }
        })
      )
      ;({ registry, sensitivity } = news.head)
      rules = compiled(news.own)
      settings = new WeakMap()
      // Those of a set one after the other, nothing between them.
      const isNew = ({ facts }: KnownDevice) => !devices.has(facts.id)
      const [fresh, changed] = [news.changed.known.filter(isNew), news.changed.known.filter((one) => !isNew(one))]
      // One by one: a call takes no more than some hundred thousand arguments.
      for (const fact of [...introduce(fresh), ...introduce(changed, reached)]) pending.push(fact)
      for (const device of news.changed.gone) {
        devices.delete(device)
        pending.push({ kind: "gone", at: reached ?? -Infinity, device })
      }
    }) as Effect.Effect<void, never, Database>

  /** What is due by the clock. */
  const turn = Effect.gen(function* () {
    const at = reach(Math.min((yield* Clock.currentTimeMillis) - lateness, heardUntil))
    for (const effect of evaluate(rules, state, [...pending.splice(0), { kind: "tick", at }])) note(effect)
    if (isReconciled) return
    yield* tell
    // Once, when all that was stored before has been judged again.
    yield* reconcile(tenantId, state, coded)
    isReconciled = true
  }) as Effect.Effect<void, never, Database>

  const write = () => {
    const byDevice = new Map<string, Array<readonly [number, DatastreamState]>>()
    for (const [number, { state: memory, stream }] of streams) {
      const { id } = stream.device
      if (!dirty.has(id)) continue
      const list = byDevice.get(id)
      if (list === undefined) byDevice.set(id, [[number, memory]])
      else list.push([number, memory])
    }
    dirty.clear()
    frozen.freeze(byDevice)
    const changed = takeChanged(state).map(({ originator }) => [originator, freeze(state, originator)] as const)
    return writeStates(() => frozen.next(piece), changed)
  }

  return {
    take,
    know,
    turn,
    tell,
    waiting: () => dirty.size,
    prepare: Effect.void,
    freeze: write,
    write: Effect.suspend(write),
    cleared: () => {}
  } satisfies Gathering
})

/** Judges by the tenants' rules, and by those that the deployment's code gives to all of them. */
export const judge = (coded: ReadonlyArray<RuleDefinition>): Follower => ({
  id: followerId,
  every: 60_000,
  pause: 0,
  // What waits is no more than what is remembered anyway.
  most: Infinity,
  open: (tenantId) => open(tenantId, coded) as ReturnType<Follower["open"]>
})
