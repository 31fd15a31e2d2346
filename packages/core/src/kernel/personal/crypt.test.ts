import { createSecretKey } from "node:crypto"
import { assert, describe, it } from "vitest"
import { indexOf, newKey, openText, type Place, sealText, unwrapKey, versionOf, wrapKey } from "./crypt.ts"

const place: Place = { tenantId: "t-1", table: "principal", column: "phone", row: "r-1" }
const key = createSecretKey(Buffer.alloc(32, 7))
const phone = "+998901234567"

describe("a sealed value", () => {
  it("opens_where_it_was_sealed", () => {
    for (const text of ["", phone, "Гулнора 😀", "x".repeat(100_000)]) {
      const sealed = sealText(key, 3, place, text)
      assert.strictEqual(versionOf(sealed), 3)
      assert.strictEqual(openText(key, 3, place, sealed), text)
    }
  })

  it("does_not_open_in_another_row_column_table_or_tenant_or_under_another_version_or_key", () => {
    const sealed = sealText(key, 1, place, phone)
    for (const change of [{ tenantId: "t-2" }, { table: "payout" }, { column: "name" }, { row: "r-2" }])
      assert.isUndefined(openText(key, 1, { ...place, ...change }, sealed), JSON.stringify(change))
    assert.isUndefined(openText(key, 2, place, sealed))
    // The version is bound too, not only written in front.
    assert.isUndefined(openText(key, 2, place, sealed.replace("v1.1.", "v1.2.")))
    assert.isUndefined(openText(newKey(), 1, place, sealed))
    // Parts do not run into one another.
    const joined = sealText(key, 1, { ...place, table: "a", column: "bc" }, phone)
    assert.isUndefined(openText(key, 1, { ...place, table: "ab", column: "c" }, joined))
  })

  it("does_not_open_when_any_byte_was_changed_or_cut_off", () => {
    const sealed = sealText(key, 1, place, phone)
    const bytes = Buffer.from(sealed.slice(5), "base64url")
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1
      assert.isUndefined(openText(key, 1, place, `v1.1.${changed.toString("base64url")}`), String(at))
      assert.isUndefined(openText(key, 1, place, `v1.1.${bytes.subarray(0, at).toString("base64url")}`), String(at))
    }
    for (const text of ["", "v1.", "v1.1.", "v2.1.AAAA", phone, `v1.0.${sealed.slice(5)}`])
      assert.isUndefined(openText(key, 1, place, text))
  })

  it("has_another_nonce_each_time", () => {
    const nonces = new Set(Array.from({ length: 50_000 }, () => sealText(key, 1, place, "x").slice(5, 21)))
    assert.strictEqual(nonces.size, 50_000)
  })

  it("is_opened_in_the_form_of_its_first_day", () => {
    // Sealed once with Python's cryptography (AESGCM): nonce 000102…0b, key 07 × 32.
    assert.strictEqual(openText(key, 1, place, vector), phone)
  })
})

const vector = "v1.1.AAECAwQFBgcICQoLM7jQSCQ56HtEhtCq1VdosWaWH-AXjvTka5VZRyI"

describe("a tenant's key", () => {
  const at = { tenantId: "t-1", purpose: "data", version: 1, masterId: "00112233aabbccdd" } as const
  it("opens_with_its_master_key_in_its_own_place_only", () => {
    const [master, tenant] = [newKey(), newKey()]
    const wrapped = wrapKey(master, at, tenant)
    assert.isTrue(unwrapKey(master, at, wrapped)?.equals(tenant))
    assert.isUndefined(unwrapKey(newKey(), at, wrapped))
    for (const change of [{ tenantId: "t-2" }, { purpose: "index" }, { version: 2 }, { masterId: "f".repeat(16) }])
      assert.isUndefined(unwrapKey(master, { ...at, ...change } as typeof at, wrapped))
    assert.isUndefined(unwrapKey(master, at, ""))
  })
})

describe("a blind index", () => {
  it("is_equal_for_one_value_of_one_column_under_one_key", () => {
    const other = newKey()
    assert.strictEqual(indexOf(key, "principal.phone", phone), indexOf(key, "principal.phone", phone))
    assert.lengthOf(indexOf(key, "principal.phone", phone), 43)
    const values = [
      indexOf(key, "principal.phone", phone),
      indexOf(key, "principal.phone", "+998901234568"),
      indexOf(key, "principal.nationalId", phone),
      indexOf(other, "principal.phone", phone)
    ]
    assert.strictEqual(new Set(values).size, 4)
  })
})
