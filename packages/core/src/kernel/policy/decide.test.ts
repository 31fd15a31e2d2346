import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decide, type PolicyRequest, territoriesOf } from "./decide.ts"
import { presetRoles, rolesOf } from "./presets.ts"
import type { Principal } from "./Principal.ts"

const roles = rolesOf(presetRoles, ["traffic-report", "traffic-violation"])
const tenantId = "t1"
const now = 1_000_000

const person = (id: string, grants: Principal["grants"] = []): Principal => ({ id, kind: "person", tenantId, grants })
const staff = (role: string, territoryId: string | null = null, until: number | null = null): Principal => ({
  id: "s1",
  kind: "staff",
  tenantId,
  grants: [{ role, territoryId, until }]
})
const visitor: Principal = { id: null, kind: "anonymous", tenantId, grants: [] }

const ask = (principal: Principal, permission: string, subject?: PolicyRequest["subject"]) =>
  decide(roles, { principal, permission, tenantId, now, ...(subject === undefined ? {} : { subject }) })

const inDistrict = { territoryPath: ["city", "district"], ownerId: "p1" }

describe("who may do what", () => {
  it.each([
    ["a visitor reads case types", visitor, "case-type.read", undefined, true],
    ["a visitor reads no events", visitor, "event.read", undefined, false],
    ["a citizen creates", person("p1"), "traffic-report.create", undefined, true],
    ["a citizen reads their own", person("p1"), "traffic-report.read", inDistrict, true],
    ["a citizen reads nobody else's", person("p2"), "traffic-report.read", inDistrict, false],
    ["a citizen has no right to read in general", person("p1"), "traffic-report.read", undefined, false],
    ["a citizen has no right to the event log", person("p1"), "event.read", undefined, false],
    ["a citizen decides nothing, not even their own", person("p1"), "traffic-violation.decide", inDistrict, false],
    ["a citizen withdraws their own", person("p1"), "traffic-report.withdraw", inDistrict, true],
    [
      "an ownerless case belongs to nobody",
      person("p1"),
      "traffic-report.read",
      { territoryPath: [], ownerId: null },
      false
    ],
    [
      "a visitor does not own what has no owner",
      visitor,
      "traffic-report.read",
      { territoryPath: [], ownerId: null },
      false
    ],
    ["an inspector decides everywhere", staff("inspector"), "traffic-violation.decide", inDistrict, true],
    [
      "an inspector of the city decides below it",
      staff("inspector", "city"),
      "traffic-violation.decide",
      inDistrict,
      true
    ],
    [
      "an inspector of another district does not",
      staff("inspector", "elsewhere"),
      "traffic-violation.decide",
      inDistrict,
      false
    ],
    ["an expired grant gives nothing", staff("inspector", null, now), "traffic-violation.decide", inDistrict, false],
    [
      "a grant with an end date gives until then",
      staff("inspector", null, now + 1),
      "traffic-violation.decide",
      inDistrict,
      true
    ],
    ["a citizen creates reports, not staff", person("p1"), "principal.create", undefined, false],
    ["an inspector reads cases, not the outbox", staff("inspector"), "outbox.read", undefined, false],
    [
      "an inspector reads cases, not everybody's payouts",
      staff("inspector"),
      "payout.read",
      { territoryPath: [] },
      false
    ],
    ["an inspector pays nobody", staff("inspector"), "account.fund", undefined, false],
    ["a treasurer funds", staff("treasurer"), "account.fund", undefined, true],
    ["an auditor reads and changes nothing", staff("auditor"), "traffic-report.decide", inDistrict, false],
    ["an administrator may everything", staff("municipality-admin"), "anything.whatever", inDistrict, true],
    [
      "the engine may everything in its tenant",
      { id: null, kind: "system", tenantId, grants: [] } as Principal,
      "x.y",
      inDistrict,
      true
    ],
    ["an unknown role gives nothing", staff("emperor"), "traffic-report.read", inDistrict, false]
  ])("%s", (_, principal, permission, subject, allowed) => {
    expect(ask(principal, permission, subject).allowed).toBe(allowed)
  })

  it.each([
    ["what was handed on of a role", ["traffic-report.read"], "traffic-report.read", inDistrict, true],
    ["and nothing else of it", ["traffic-report.read"], "traffic-violation.decide", inDistrict, false],
    ["and nothing that the role has not", ["account.fund"], "account.fund", inDistrict, false],
    ["for one's own only, where so handed on", ["traffic-report.read:own"], "traffic-report.read", inDistrict, false],
    ["nothing of an empty list", [], "traffic-report.read", inDistrict, false]
  ])("a part of a role gives %s", (_, permissions, permission, subject, allowed) => {
    const principal = {
      ...staff("inspector"),
      grants: [{ role: "inspector", territoryId: null, until: null, permissions }]
    }
    expect(ask(principal, permission, subject).allowed).toBe(allowed)
    expect(territoriesOf(roles, principal, permission, now)).toEqual(allowed ? "all" : [])
  })

  it("never_crosses_tenants_whatever_the_grants", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("person", "staff", "app", "device", "system", "anonymous"),
        fc.array(
          fc.record({
            role: fc.constantFrom(...roles.keys()),
            territoryId: fc.constant(null),
            until: fc.constant(null)
          })
        ),
        fc.constantFrom("traffic-report.read", "account.fund", "case-type.read"),
        (kind, grants, permission) =>
          !decide(roles, {
            principal: { id: "x", kind: kind as Principal["kind"], tenantId: "t2", grants },
            permission,
            tenantId,
            now
          }).allowed
      )
    )
  })

  it("gives_lists_the_territories_in_which_single_cases_would_be_allowed", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            role: fc.constantFrom("inspector", "treasurer", "auditor", "citizen"),
            territoryId: fc.option(fc.constantFrom("a", "b", "c")),
            until: fc.option(fc.integer({ min: now - 10, max: now + 10 }))
          }),
          { maxLength: 4 }
        ),
        fc.subarray(["a", "b", "c", "d"]),
        fc.constantFrom("staff", "app"),
        fc.boolean(),
        (grants, territoryPath, kind, own) => {
          const principal: Principal = { id: "s", kind: kind as Principal["kind"], tenantId, grants }
          const where = territoriesOf(roles, principal, "traffic-report.read", now, own)
          const single = ask(principal, "traffic-report.read", {
            territoryPath,
            ownerId: own ? "s" : "somebody"
          }).allowed
          return single === (where === "all" || territoryPath.some((one) => where.includes(one)))
        }
      )
    )
  })
})
