/** Typed calls in the name of somebody, as promises: the embedding surface beside HTTP. Errors are the engine's own, with their `_tag`. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { type CreateCase, createCase } from "../kernel/cases/create.ts"
import { type CaseFilter, listCases, type PageRequest } from "../kernel/cases/list.ts"
import type { CaseRecord } from "../kernel/cases/model.ts"
import { loadCase } from "../kernel/cases/record.ts"
import { CaseTypes } from "../kernel/cases/registry.ts"
import { type TransitionRequest, transitionCase } from "../kernel/cases/transition.ts"
import { audienceOf, type CaseView, demandVisible, viewOf } from "../kernel/cases/view.ts"
import { type TenantTx, withTenant } from "../kernel/db/Database.ts"
import type { StoredEvent } from "../kernel/events/Event.ts"
import { readEvents } from "../kernel/events/read.ts"
import { demandEverywhere } from "../kernel/policy/Policy.ts"
import { loadPrincipal } from "../kernel/policy/load.ts"
import { Actor, type Principal, system } from "../kernel/policy/Principal.ts"
import { tenantBySlug } from "../kernel/tenancy/resolve.ts"
import type { CityRuntime } from "./runtime.ts"
import type { Erased } from "../kernel/Erased.ts"

/** In which city, and who: a principal's id, the engine itself, or a visitor. */
export interface As {
  /** The tenant's slug. */
  readonly tenant: string
  readonly principal: { readonly id: string } | "system" | "anonymous"
}

export interface CallOptions {
  readonly signal?: AbortSignal
}

export interface CityAs {
  /** Cases as this actor may see them: the same filter of fields as everywhere. */
  readonly cases: {
    readonly create: (request: CreateCase, options?: CallOptions) => Promise<CaseView>
    readonly get: (id: string, options?: CallOptions) => Promise<CaseView>
    readonly list: (
      filter: CaseFilter & PageRequest,
      options?: CallOptions
    ) => Promise<{ readonly items: ReadonlyArray<CaseView>; readonly cursor?: string }>
    readonly transition: (request: TransitionRequest, options?: CallOptions) => Promise<CaseView>
  }
  readonly events: {
    /** The tenant's order after a position; needs `event.read`. `limit` 1–1000, default 200. */
    readonly read: (
      request: { readonly after: bigint; readonly limit?: number },
      options?: CallOptions
    ) => Promise<ReadonlyArray<StoredEvent>>
  }
  /**
   * Runs an Effect of a module inside a transaction of the tenant, as this actor: for modules that offer typed calls of their own.
   */
  readonly run: <A, E>(effect: Effect.Effect<A, E, Erased>, options?: CallOptions) => Promise<A>
}

const shown = Effect.fnUntraced(function* (record: CaseRecord) {
  const type = yield* (yield* CaseTypes).get(record.type)
  return viewOf(record, type.definition, yield* audienceOf(record))
})

const principalOf = Effect.fnUntraced(function* (who: As) {
  const tenant = yield* tenantBySlug(who.tenant)
  const principal: Principal =
    who.principal === "system"
      ? system(tenant.tenantId)
      : yield* loadPrincipal(tenant.tenantId, who.principal === "anonymous" ? null : who.principal.id)
  return principal
})

export const makeCityAs = (runtime: () => CityRuntime, who: As): CityAs => {
  const run = <A, E>(effect: Effect.Effect<A, E, Erased>, options?: CallOptions): Promise<A> => {
    const call = Effect.flatMap(principalOf(who), (actor) =>
      withTenant(actor.tenantId)(Effect.provideService(effect as Effect.Effect<A, E, TenantTx | Actor>, Actor, actor))
    )
    return Effect.runPromise(Effect.provideContext(call, runtime().context as Context.Context<Erased>), options)
  }
  return {
    cases: {
      create: (request, options) => run(Effect.flatMap(createCase(request), shown), options),
      get: (id, options) =>
        run(
          Effect.gen(function* () {
            const record = yield* loadCase(id)
            yield* demandVisible(record, (yield* (yield* CaseTypes).get(record.type)).definition)
            return yield* shown(record)
          }),
          options
        ),
      list: ({ cursor, limit, ...filter }, options) =>
        run(
          Effect.flatMap(listCases(filter, { cursor, limit }), (page) =>
            Effect.map(Effect.forEach(page.items, shown), (items) => ({ ...page, items }))
          ),
          options
        ),
      transition: (request, options) => run(Effect.flatMap(transitionCase(request), shown), options)
    },
    events: {
      read: ({ after, limit = 200 }, options) =>
        run(
          Effect.andThen(demandEverywhere("event.read"), readEvents(after, Math.min(Math.max(limit, 1), 1000))),
          options
        )
    },
    run
  }
}
