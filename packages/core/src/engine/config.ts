/** What a city is made of: the configuration of `createCity`. */
import * as Data from "effect/Data"
import type { Role } from "../kernel/policy/decide.ts"
import type { Module } from "../kernel/module/defineModule.ts"
import type { LogFormat, LogLevel } from "./logging.ts"
import type { Plugin } from "../plugin/definePlugin.ts"

/** Who a host application says is asking. */
export interface HostLogin {
  /** The person's or service's identifier in the host application. */
  readonly externalId: string
  readonly name?: string
  readonly kind?: "person" | "staff"
  /** Roles given in the whole tenant while this login lasts. */
  readonly roles?: ReadonlyArray<string>
}

export interface CityConfig {
  /** Folder for everything the city keeps outside its database. */
  readonly home: string
  /** `dev` prints more and allows simulators. Default `production`. */
  readonly mode?: "dev" | "production"
  /** At least 32 characters; every replica has the same. Default: made once and kept in `home/secret`. */
  readonly secret?: string
  /** The secret before this one, while keys are still wrapped by it. Default: `home/secret.previous`, where there is one. */
  readonly previousSecret?: string
  readonly plugins: ReadonlyArray<Plugin | ReadonlyArray<Plugin>>
  readonly modules: ReadonlyArray<Module>
  /** Roles beside or instead of the presets, by id. */
  readonly roles?: ReadonlyArray<Role>
  /** Sub-path under which a host application mounts the city, as `/city`. Default: the root. */
  readonly basePath?: string
  /** Where the world sees the city, as `https://city.example`; the issuer of its tokens. Default: `mahalla`. */
  readonly publicUrl?: string
  /** The host application's own login; asked when a request carries no token of ours. Null where this person has nothing to do with the tenant. */
  readonly login?: (request: {
    readonly headers: Readonly<Record<string, string | undefined>>
    readonly url: string
    /** Slug of the tenant that the request is for: roles that are returned are roles in that one. */
    readonly tenant: string
  }) => Promise<HostLogin | null>
  /** Addresses or CIDR blocks whose `X-Forwarded-For` is believed. Default: none. */
  readonly trustedProxies?: ReadonlyArray<string>
  /** What this process does: serves HTTP, works, listens to devices. Default: all. */
  readonly only?: ReadonlyArray<"api" | "worker" | "ingest">
  /** Whether a database that is behind is brought to this version at the start, or refused. Default true. */
  readonly migrate?: boolean
  /** Whoever reads `/metrics` sends it as a Bearer token, at least 32 characters. Default: nobody may; in `dev` whoever asks on this machine. */
  readonly metricsToken?: string
  /** Largest JSON body in bytes. Default 1 MiB. */
  readonly maxBodySize?: number
  /** Requests in progress at once before 503. Default 512. */
  readonly maxInFlight?: number
  /** The audit log's signed checkpoints. */
  readonly audit?: {
    /** Seconds between two checkpoints of one tenant at least. Default 60. */
    readonly checkpointEvery?: number
    /** Folder into which they are written; best on another disk, or one that is copied to somebody else. Default `home/checkpoints`. */
    readonly checkpointFolder?: string
    /** Addresses to which each tenant's newest checkpoint is posted (`application/jose`): a witness, the auditor's server. HTTPS. */
    readonly webhooks?: ReadonlyArray<string>
    /** Who gets the newest one by e-mail; needs a plugin for it. */
    readonly emails?: ReadonlyArray<string>
    /** Seconds between two e-mails to one person at least. Default 86,400: a day. */
    readonly emailEvery?: number
  }
  /** Inside networks (CIDR) to which requests may go that leave the city, as webhooks: otherwise only public addresses are reached. Default: none. */
  readonly outwardNetworks?: ReadonlyArray<string>
  /** Jobs at once in this process. Default 8. */
  readonly jobConcurrency?: number
  /** Logs on standard error. Default: `json`, and `readable` in `dev`. */
  readonly logFormat?: LogFormat
  /** Default `Info`; `Debug` adds a line for every request. */
  readonly logLevel?: LogLevel
  /** Hears of steps that take a while at start, for progress bars. */
  readonly onProgress?: (step: { readonly step: string; readonly done: number; readonly total: number }) => void
}

/** The city cannot start, or a call cannot be made. `exitCode` is what a command should end with. */
export class CityError extends Data.TaggedError("CityError")<{
  readonly reason:
    "Config" | "Plugin" | "Storage" | "SchemaTooNew" | "Migration" | "CaseType" | "MasterKey" | "NotStarted"
  readonly message: string
  readonly exitCode: number
  readonly cause?: unknown
}> {}

/** Exit codes by reason; documented for scripts and service managers. */
export const exitCodes: Readonly<Record<CityError["reason"], number>> = {
  Config: 64,
  Plugin: 65,
  Storage: 69,
  SchemaTooNew: 70,
  Migration: 71,
  CaseType: 72,
  MasterKey: 73,
  NotStarted: 64
}

export const cityError = (reason: CityError["reason"], message: string, cause?: unknown): CityError =>
  new CityError({ reason, message, exitCode: exitCodes[reason], ...(cause === undefined ? {} : { cause }) })
