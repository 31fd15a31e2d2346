import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { assert, describe, it } from "vitest"
import type { InvalidInput } from "../../kernel/cases/model.ts"
import type { ImportFormat } from "./model.ts"
import { maxFile, readNetwork } from "./readFile.ts"

const read = (text: string | ReadonlyArray<Uint8Array>, format: ImportFormat) =>
  Effect.runPromise(
    Effect.result(readNetwork(Stream.fromIterable(typeof text === "string" ? [Buffer.from(text)] : text), format))
  )
const refusal = async (text: string | ReadonlyArray<Uint8Array>, format: ImportFormat) => {
  const result = await read(text, format)
  assert.strictEqual(result._tag, "Failure")
  return (result as { readonly failure: InvalidInput }).failure.message
}
const collection = (id: string, properties: string) =>
  `{"type":"FeatureCollection","features":[{"type":"Feature","id":"${id}","geometry":{"type":"Point","coordinates":[1,2]},"properties":${properties}}]}`

describe("a file", () => {
  it("is_read_however_its_bytes_are_cut", async () => {
    const bytes = Buffer.from("[JUNCTIONS]\r\n Чимган 10 1\r\n b 5\r\n[PIPES]\r\n p Чимган b 1 1 1\r\n")
    const result = await read(
      Array.from(bytes, (byte) => Uint8Array.of(byte)),
      "epanet"
    )
    assert.deepStrictEqual(result._tag === "Success" && result.success.points.map(({ externalId }) => externalId), [
      "Чимган",
      "b"
    ])
  })

  it.each([
    ["broken JSON", '{"type":', /not JSON/],
    ["U+0000 in a property", collection("a", String.raw`{"note":"a\u0000b"}`), /not UTF-8 text/],
    ["half a pair in a name", collection(String.raw`\ud800`, "{}"), /not UTF-8 text/],
    ["a deep nest", collection("a", `{"note":${"[".repeat(200_000)}${"]".repeat(200_000)}}`), /not JSON|8,192/],
    ["nothing", "", /not JSON/]
  ])("of_GeoJSON_with %s_is_refused", async (_, text, message) => assert.match(await refusal(text, "geojson"), message))

  it("keeps_a_backslash_that_only_looks_like_an_escape", async () => {
    const result = await read(collection("a", String.raw`{"path":"C:\\u0000"}`), "geojson")
    assert.strictEqual(result._tag, "Success")
  })

  it("in_an_old_code_page_is_refused_where_its_names_are_lost_and_read_where_they_are_not", async () => {
    // Windows-1251, as desktop programs write it.
    const cyrillic = (text: string) =>
      Buffer.from(Array.from(text, (one) => (one >= "А" && one <= "я" ? one.charCodeAt(0) - 0x350 : one.charCodeAt(0))))
    const named = await refusal([cyrillic("[TITLE]\nСеть\n[JUNCTIONS]\n К1 10\n М1 5\n")], "epanet")
    assert.match(named, /JUNCTIONS\], line 4: .*not in UTF-8.*\n?.*line 5/s)
    const remarks = await read([cyrillic("[TITLE]\nСеть\n[JUNCTIONS]\n J1 10 ; узел\n")], "epanet")
    assert.strictEqual(remarks._tag, "Success")
    assert.match(await refusal([cyrillic(collection("К1", "{}"))], "geojson"), /not UTF-8 text/)
  })

  it("with_a_byte_that_is_no_text_or_too_many_of_them_is_refused", async () => {
    assert.match(await refusal("[JUNCTIONS]\n a\0 1", "epanet"), /not UTF-8 text/)
    const piece = Buffer.alloc(1024 * 1024, ";")
    assert.match(
      await refusal(
        Array.from({ length: maxFile / piece.length + 1 }, () => piece),
        "epanet"
      ),
      /larger than 64 MiB/
    )
  })
})
