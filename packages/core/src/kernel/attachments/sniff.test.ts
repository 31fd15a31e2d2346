import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { defaultUploadLimits } from "./limits.ts"
import { canonicalType, kindOf, otherTypes, sniff } from "./sniff.ts"

/** The first bytes of what ffmpeg 5.1 and others write. */
const heads: Readonly<Record<string, string>> = {
  "video/3gpp": "0000001c6674797033677034000002003367703469736f6d69736f320000000866726565000001aa6d646174",
  "video/vnd.avi": "52494646c4180000415649204c495354381200006864726c6176696838000000409c0000a861000000000000",
  "video/matroska": "1a45dfa3a34286810142f7810142f2810442f381084282886d6174726f736b6142878104428581021853806701000000",
  "video/webm": "1a45dfa39f4286810142f7810142f2810442f381084282847765626d4287810242858102185380670100000000000295",
  "video/quicktime": "00000014667479707174202000000200717420200000000877696465000003296d646174000002ae0605ffffaadc45e9",
  "video/mp4": "000000206674797069736f6d0000020069736f6d69736f32617663316d7034310000000866726565000003296d646174",
  "video/mpeg": "000001ba2100010001c33367000001bb0009c333670021ffe0e0e6000001e002393100037bb11100035f91000001b30b",
  "image/jpeg": "ffd8ffe000104a46494600010200000100010000fffe00104c61766335392e33372e31303000ffdb0043000804040404",
  "image/png": "89504e470d0a1a0a0000000d4948445200000040000000400802000000250be689000000097048597300000001000000",
  "image/webp": "524946465a00000057454250565038204e000000f003009d012a400040003e9148a04c25a42322220800b012096900d3",
  "image/heic": "0000001c6674797068656963000000006d696631686569636d6961660000000e6d657461",
  "application/pdf": "255044462d312e370a25e2e3cfd30a"
}
const bytes = (hex: string) => Buffer.concat([Buffer.from(hex, "hex"), Buffer.alloc(8192)])

const photos = join(import.meta.dirname, "../../../../../../shared/data")

describe("sniffing", () => {
  it.effect("tells_every_type_that_is_accepted_by_default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(Object.keys(heads).sort(), [...defaultUploadLimits.mediaTypes].sort())
      for (const [mediaType, hex] of Object.entries(heads)) assert.strictEqual(yield* sniff(bytes(hex)), mediaType)
    })
  )

  it.effect("knows_variants_by_one_name", () =>
    Effect.gen(function* () {
      const m4v = "00000020667479704d345620000002004d34562069736f6d69736f32617663310000000866726565000003296d646174"
      assert.strictEqual(yield* sniff(bytes(m4v)), "video/mp4")
      assert.strictEqual(canonicalType("video/x-msvideo"), "video/vnd.avi")
      assert.deepStrictEqual(["video/mp4", "image/heic", "application/pdf"].map(kindOf), ["video", "image", "document"])
    })
  )

  it.effect("tells_nothing_of_words_programs_and_nothing", () =>
    Effect.gen(function* () {
      for (const text of ["", "x", "<!doctype html><script>alert(1)</script>", "<svg onload='alert(1)'/>"])
        assert.isFalse(defaultUploadLimits.mediaTypes.includes((yield* sniff(Buffer.from(text))) ?? ""), text)
      assert.strictEqual(yield* sniff(bytes("7f454c46020101")), "application/x-elf")
    })
  )

  it("notes_a_polyglot_but_no_chance_likeness", () => {
    const jpeg = bytes(heads["image/jpeg"]!)
    const zipEnd = (comment: string) => {
      const record = Buffer.alloc(22)
      record.write("PK\u0005\u0006", "latin1")
      record.writeUInt16LE(comment.length, 20)
      return Buffer.concat([record, Buffer.from(comment)])
    }
    const tail = (end: Buffer) => Buffer.concat([Buffer.alloc(500, 7), end])
    assert.deepStrictEqual(otherTypes("image/jpeg", jpeg, tail(zipEnd(""))), ["application/zip"])
    assert.deepStrictEqual(otherTypes("image/jpeg", jpeg, tail(zipEnd("PK\u0005\u0006 in words"))), ["application/zip"])
    assert.deepStrictEqual(otherTypes("image/jpeg", jpeg, tail(Buffer.concat([zipEnd(""), Buffer.from("x")]))), [])
    assert.deepStrictEqual(otherTypes("image/jpeg", jpeg, Buffer.from("PK\u0005\u0006")), [])
    const withPdf = Buffer.concat([jpeg.subarray(0, 48), Buffer.from("%PDF-1.4 <script>")])
    assert.deepStrictEqual(otherTypes("image/jpeg", withPdf, jpeg), ["application/pdf", "text/html"])
    assert.deepStrictEqual(otherTypes("application/pdf", Buffer.from("%PDF-1.4"), jpeg), [])
  })

  it.effect.skipIf(!existsSync(photos))(
    "tells_real_photographs_and_a_real_film (left out without ../shared/data)",
    () =>
      Effect.gen(function* () {
        const images = readdirSync(join(photos, "plates-eu")).filter((name) => name.endsWith(".jpg"))
        assert.isAbove(images.length, 50)
        for (const name of images) {
          const file = readFileSync(join(photos, "plates-eu", name))
          assert.strictEqual(yield* sniff(file), "image/jpeg", name)
          assert.deepStrictEqual(otherTypes("image/jpeg", file, file), [], name)
        }
        const film = readFileSync(join(photos, "video/car-detection.mp4"))
        assert.strictEqual(yield* sniff(film), "video/mp4")
        assert.deepStrictEqual(otherTypes("video/mp4", film, film), [])
      })
  )
})
