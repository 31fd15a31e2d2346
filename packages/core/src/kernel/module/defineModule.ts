/**
 * A module is a civic capability: its case types, events, jobs, consumers, API, tables and services in one value. The engine's own
 * modules use nothing that a third party's could not.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as HttpApi from "effect/http-api/HttpApi"
import type { CaseType } from "../cases/CaseType.ts"
import type { Migration } from "../db/Migration.ts"
import type { Consumer } from "../events/Consumer.ts"
import type { EventType } from "../events/Event.ts"
import type { ProblemAnswer } from "../http/problems.ts"
import type { JobDefinition } from "../jobs/Job.ts"
import type { PersonPart } from "../personal/PersonPart.ts"
import type { RetentionRule } from "../personal/Retention.ts"
import type { SealedPart } from "../personal/SealedPart.ts"
import type { Role } from "../policy/decide.ts"
import type { Erased } from "../Erased.ts"

/** Work that one process of the city does again and again. */
export interface Schedule {
  /** `module.verb`; names its lease. */
  readonly id: string
  /** Cron expression of five fields, in UTC. */
  readonly cron: string
  readonly run: Effect.Effect<void, unknown, Erased>
}

export interface ModuleApi {
  /** Endpoints under `/v1`; joined into the city's one OpenAPI document. */
  readonly definition: HttpApi.Constraint
  /** `HttpApiBuilder.layer(definition)` with its groups. */
  readonly layer: Layer.Layer<never, never, Erased>
}

/** What the engine knows of a request before any router has seen it. */
export interface MountFacts {
  /** Named in every answer and log line. */
  readonly id: string
  /** The client's address, behind the trusted proxies. */
  readonly ip: string
  /** Host name without the port, lower case. */
  readonly host: string
  /** From a path that began with `/t/{slug}`. */
  readonly slug: string | null
  /** Path and query without the city's sub-path and the tenant. */
  readonly url: string
  /** Whether it came over TLS: here, or as a trusted proxy says. */
  readonly secure: boolean
}

/** Addresses that a library answers by itself on Node's own objects, before the router. `city.fetch` does not reach them. */
export interface ModuleMount {
  /** Whether a path is the mount's, `url` of `MountFacts` without its query. */
  readonly takes: (path: string) => boolean
  /** Runs once at the start, with the services of the city. The handler answers everything it is given. */
  readonly open: Effect.Effect<
    (request: IncomingMessage, response: ServerResponse, facts: MountFacts) => Promise<void>,
    Erased,
    Erased
  >
}

/**
 * Addresses at which a connection becomes another protocol's, as a WebSocket's. The engine has looked at where it comes from: a page of another
 * site gets no further unless the tenant's `corsOrigins` name it.
 */
export interface ModuleUpgrade {
  /** As `ModuleMount.takes`. */
  readonly takes: (path: string) => boolean
  /**
   * Runs once at the start, with the services of the city; its scope ends with the city, and so must the connections. The handler takes the socket over,
   * or gives back why not.
   */
  readonly open: Effect.Effect<
    (request: IncomingMessage, socket: Duplex, head: Buffer, facts: MountFacts) => Promise<ProblemAnswer | undefined>,
    Erased,
    Erased
  >
}

export interface Module {
  /** `[a-z][a-z0-9-]*`; names its migrations. */
  readonly id: string
  /** Modules that must be in the city too. */
  readonly requires: ReadonlyArray<string>
  readonly caseTypes: ReadonlyArray<CaseType>
  readonly events: ReadonlyArray<EventType<string, Erased>>
  readonly jobs: ReadonlyArray<JobDefinition>
  readonly consumers: ReadonlyArray<Consumer<unknown, Erased>>
  readonly schedules: ReadonlyArray<Schedule>
  /** Permissions its doors ask for, `thing.verb`; for role editors and docs. */
  readonly permissions: ReadonlyArray<string>
  /** Roles it suggests beside the presets. */
  readonly roles: ReadonlyArray<Role>
  readonly migrations: ReadonlyArray<Migration>
  /** How long it keeps what. */
  readonly retention: ReadonlyArray<RetentionRule>
  /** What it holds of people: for their copies, and for their end. */
  readonly people: ReadonlyArray<PersonPart>
  /** Its tables' sealed values, for a change of keys. */
  readonly sealed: ReadonlyArray<SealedPart>
  readonly api?: ModuleApi
  readonly mount?: ModuleMount
  readonly upgrade?: ModuleUpgrade
  /** Runs in every process that works, from its start to its end; leases say which of them does what. */
  readonly works: ReadonlyArray<Effect.Effect<unknown, never, Erased>>
  /** Opens ways in beside HTTP, in processes that take things in; the end of its scope closes them. */
  readonly listen?: Effect.Effect<void, Erased, Erased>
  /** Its services; may ask for the kernel's and for those of the modules it requires. */
  readonly layer?: Layer.Layer<Erased, Erased, Erased>
}

export const defineModule = (module: { readonly id: string } & Partial<Module>): Module => ({
  requires: [],
  caseTypes: [],
  events: [],
  jobs: [],
  consumers: [],
  schedules: [],
  permissions: [],
  roles: [],
  migrations: [],
  retention: [],
  people: [],
  sealed: [],
  works: [],
  ...module
})
