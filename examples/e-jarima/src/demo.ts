/** A small city to try things in: Samarkand with its districts, the people who work there, and the offences they decide on. */
import { addTerritory, type City, fundBudget, type Offence, putOffence } from "@mahalla/core"
import { TenantTx } from "@mahalla/core/module"
import type { Demo } from "@mahalla/server"
import * as Effect from "effect/Effect"

const city = {
  slug: "samarkand",
  name: "Samarkand",
  settings: {
    timeZone: "Asia/Samarkand",
    languages: ["uz", "ru", "en"],
    country: "UZ",
    currency: "UZS",
    calendar: {
      days: [1, 2, 3, 4, 5],
      from: "09:00",
      to: "18:00",
      holidays: ["2027-01-01", "2027-03-08", "2027-03-21", "2027-09-01"]
    },
    corsOrigins: []
  }
} as const

/** A rectangle as GeoJSON; good enough to find the district of a place. */
const box = (west: number, south: number, east: number, north: number) => ({
  type: "Polygon" as const,
  coordinates: [
    [
      [west, south],
      [east, south],
      [east, north],
      [west, north],
      [west, south]
    ]
  ]
})

const districts = [
  {
    kind: "district",
    name: { en: "Registan", uz: "Registon", ru: "Регистан" },
    boundary: box(66.95, 39.64, 66.99, 39.67)
  },
  { kind: "district", name: { en: "Siyob", uz: "Siyob", ru: "Сияб" }, boundary: box(66.95, 39.67, 67.02, 39.72) },
  {
    kind: "district",
    name: { en: "Bogishamol", uz: "Bogʻishamol", ru: "Багишамал" },
    boundary: box(66.9, 39.6, 66.95, 39.67)
  }
]

const staff = [
  { name: "Nodira Karimova", roles: ["municipality-admin"], language: "uz" },
  { name: "Jasur Toshpulatov", roles: ["inspector"], language: "uz" },
  { name: "Elena Kim", roles: ["treasurer"], language: "ru" }
] as const

/** Fines in tiyin. */
const offences: ReadonlyArray<Offence> = [
  {
    code: "red-light",
    article: "128-1(1)",
    title: { en: "Passing a red light", uz: "Qizil chiroqda oʻtish", ru: "Проезд на красный" },
    fine: 68_000_000n,
    rewardShare: 1500,
    active: true
  },
  {
    code: "wrong-way",
    article: "128-3(2)",
    title: { en: "Driving into oncoming traffic", uz: "Qarama-qarshi yoʻlga chiqish", ru: "Выезд на встречную" },
    fine: 102_000_000n,
    rewardShare: 1500,
    active: true
  },
  {
    code: "bus-lane",
    article: "128-4(1)",
    title: { en: "Driving in the bus lane", uz: "Avtobus yoʻlagida harakatlanish", ru: "Движение по полосе автобусов" },
    fine: 17_000_000n,
    rewardShare: 1500,
    active: true
  },
  {
    code: "parking",
    article: "128-5(3)",
    title: {
      en: "Parking where it is forbidden",
      uz: "Taqiqlangan joyda toʻxtash",
      ru: "Парковка в запрещённом месте"
    },
    fine: 10_200_000n,
    rewardShare: 1000,
    active: true
  },
  {
    code: "phone",
    article: "128-6(1)",
    title: { en: "Holding a phone while driving", uz: "Telefon bilan haydash", ru: "Телефон за рулём" },
    fine: 34_000_000n,
    rewardShare: 1000,
    active: true
  }
]

/** Land, offences and money, in one transaction: all of it is there or nothing. */
const furnish = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const known = yield* sql`select id from mahalla.territory where tenant_id = ${tenantId} limit 1`
  if (known.length > 0) return
  const whole = yield* addTerritory({
    kind: "city",
    name: { en: "Samarkand", uz: "Samarqand", ru: "Самарканд" },
    boundary: box(66.85, 39.55, 67.1, 39.75)
  })
  for (const district of districts) yield* addTerritory({ ...district, parentId: whole.id })
  for (const offence of offences) yield* putOffence(offence)
  yield* fundBudget({ amount: 10_000_000_000_00n, memo: "Demo budget" })
})

/** Puts the demo city in place. Run again it adds what a start that was broken off has left out, and changes nothing else. */
const seed = async (target: City) => {
  const known = await target.admin.tenants.list()
  if (!known.some((tenant) => tenant.slug === city.slug)) await target.admin.tenants.create(city)
  await target.as({ tenant: city.slug, principal: "system" }).run(furnish)
  for (const person of staff) {
    const there = await target.admin.staffWithRole(city.slug, person.roles[0])
    if (there.length === 0) await target.admin.principals.createStaff(city.slug, person)
  }
}

export const demo: Demo = {
  tenant: city.slug,
  seed,
  place: { longitude: 66.9749, latitude: 39.6547 },
  offence: "red-light"
}
