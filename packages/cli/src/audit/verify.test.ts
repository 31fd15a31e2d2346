/** The verifier on logs that the test makes itself, with keys of its own: what the engine would never write is here too. */
import { spawn } from "node:child_process"
import { createHash, generateKeyPairSync, sign } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { runVerify } from "./run.ts"

const folder = mkdtempSync(join(tmpdir(), "mahalla-audit-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const keyPair = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  const { crv, kty, x } = publicKey.export({ format: "jwk" })
  const kid = createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url")
  return { privateKey, kid, jwk: { crv, kty, x } }
}
const city = keyPair()

const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
const checkpoint = (size: number, root: string, given: { by?: typeof city; header?: object; claims?: object } = {}) => {
  const by = given.by ?? city
  const header = { alg: "EdDSA", typ: "mahalla-checkpoint+jwt", kid: by.kid, ...given.header }
  const claims = { iss: "mahalla", tenant: "t", size, root, iat: 1, ...given.claims }
  const text = `${base64(header)}.${base64(claims)}`
  return `${text}.${sign(null, Buffer.from(text), by.privateKey).toString("base64url")}\n`
}

const sha256 = (...parts: ReadonlyArray<Uint8Array>) => createHash("sha256").update(Buffer.concat(parts)).digest()
const leafOf = (position: number) => ({ id: `e${position}`, payload: { value: position }, position })
const hashOf = (position: number) => sha256(Buffer.of(0), Buffer.from(JSON.stringify(leafOf(position))))
const line = (position: number, leaf: object | null = leafOf(position), hash = hashOf(position)) =>
  `${JSON.stringify({ position, hash: hash.toString("hex"), leaf })}\n`
const log = (amount: number) => Array.from({ length: amount }, (_, index) => line(index + 1))
const rootOf = (from: number, to: number): Buffer => {
  if (to - from === 1) return hashOf(to)
  let half = 1
  while (half * 2 < to - from) half *= 2
  return sha256(Buffer.of(1), rootOf(from, from + half), rootOf(from + half, to))
}
const root = (size: number) => rootOf(0, size).toString("base64url")
const jwks = file("jwks.json", JSON.stringify({ keys: [keyPair().jwk, { kty: "RSA" }, city.jwk] }))

const judge = async (lines: ReadonlyArray<string>, checkpoints: string, key = jwks) => {
  let said = ""
  const request = { export: file("log", lines.join("")), checkpoints: file("checkpoints", checkpoints) }
  const code = await runVerify({ ...request, key }, true, (text) => (said += text))
  return { code, ...(JSON.parse(said) as { fault?: string; position?: number; event?: string; unsigned?: number }) }
}

describe("the verifier", () => {
  it("agrees_with_every_size_of_log_and_every_checkpoint_within", async () => {
    for (let size = 1; size <= 40; size++) {
      const all = Array.from({ length: size }, (_, index) => checkpoint(index + 1, root(index + 1)))
      expect(await judge(log(size), all.toReversed().join(""))).toMatchObject({ code: 0, verified: true, unsigned: 0 })
    }
    expect(await judge(log(20), checkpoint(13, root(13)))).toMatchObject({ code: 0, events: 20, unsigned: 7 })
  })

  it("takes_checkpoints_of_the_named_key_and_form_only", async () => {
    const good = root(3)
    const wrong = [
      checkpoint(3, good, { by: keyPair() }),
      checkpoint(3, good, { by: { ...keyPair(), kid: city.kid } }),
      checkpoint(3, good, { header: { typ: "mahalla-receipt+jwt" } }),
      checkpoint(3, good, { header: { alg: "none" } }),
      checkpoint(3, good, { header: { alg: "HS256" } }),
      checkpoint(3, good).replace(/\.[^.]*$/, ".\n"),
      checkpoint(3, good).replace("\n", ".x\n")
    ]
    for (const text of wrong) expect(await judge(log(3), text)).toMatchObject({ code: 15, fault: "bad-signature" })
    for (const claims of [{ size: 0 }, { size: "3" }, { root: 1 }, { tenant: null }])
      expect(await judge(log(3), checkpoint(3, good, { claims }))).toMatchObject({ code: 10 })
    const mixed = checkpoint(2, root(2)) + checkpoint(3, good, { claims: { tenant: "another" } })
    expect(await judge(log(3), mixed)).toMatchObject({ code: 10 })
  })

  it("finds_two_pasts_and_the_place_where_a_past_was_rewritten", async () => {
    const fork = checkpoint(2, root(2)) + checkpoint(3, root(3)) + checkpoint(3, root(2))
    expect(await judge(log(3), fork)).toMatchObject({ code: 16, fault: "fork", position: 3 })
    expect(await judge(log(3), checkpoint(3, root(3)).repeat(3))).toMatchObject({ code: 0 })
    const changed = { ...leafOf(6), payload: {} }
    const rebuilt = log(9).with(5, line(6, changed, sha256(Buffer.of(0), Buffer.from(JSON.stringify(changed)))))
    const kept = [2, 4, 8, 9].map((size) => checkpoint(size, root(size))).join("")
    expect(await judge(rebuilt, kept)).toMatchObject({ code: 17, fault: "rewritten", position: 5 })
  })

  it("case_38_names_an_edit_a_cut_tail_another_order_an_insertion_and_a_log_rebuilt_as_a_whole", async () => {
    const kept = [4, 9].map((size) => checkpoint(size, root(size))).join("")
    expect(await judge(log(9), kept)).toMatchObject({ code: 0 })
    const swapped = log(9).with(2, line(4)).with(3, line(3))
    const inserted = [...log(9).slice(0, 5), line(6, { ...leafOf(6), id: "new" }, hashOf(6)), ...log(9).slice(5)]
    const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>, number, string, number]> = [
      ["edited", log(9).with(6, line(7, { ...leafOf(7), payload: { value: 0 } })), 11, "changed-leaf", 7],
      ["the tail cut off", log(9).slice(0, 6), 14, "cut-tail", 7],
      ["all cut off", [], 14, "cut-tail", 1],
      ["another order", swapped, 13, "reordered", 3],
      ["inserted", inserted, 11, "changed-leaf", 6]
    ]
    for (const [name, lines, code, fault, position] of cases)
      expect([name, await judge(lines, kept)]).toEqual([name, expect.objectContaining({ code, fault, position })])

    // Whoever has the database and the secret writes another past: every hash and every signature in it is right.
    const other = Array.from({ length: 12 }, (_, index) => ({ ...leafOf(index + 1), payload: { value: "another" } }))
    const hashes = other.map((leaf) => sha256(Buffer.of(0), Buffer.from(JSON.stringify(leaf))))
    const rebuilt = other.map((leaf, index) => line(index + 1, leaf, hashes[index]))
    const top = (from: number, to: number): Buffer => {
      if (to - from === 1) return hashes[from]!
      let half = 1
      while (half * 2 < to - from) half *= 2
      return sha256(Buffer.of(1), top(from, from + half), top(from + half, to))
    }
    const theirs = [4, 9, 12].map((size) => checkpoint(size, top(0, size).toString("base64url"))).join("")
    expect(await judge(rebuilt, theirs)).toMatchObject({ code: 0, verified: true })
    expect(await judge(rebuilt, kept)).toMatchObject({ code: 17, fault: "rewritten", position: 1 })
    expect(await judge(rebuilt, kept + theirs)).toMatchObject({ code: 16, fault: "fork" })
    expect(await judge(log(9), theirs)).not.toMatchObject({ code: 0 })
  })

  it("case_38_takes_no_node_of_the_tree_for_an_event", async () => {
    const node = sha256(Buffer.of(1), hashOf(1), hashOf(2))
    const [left, right] = [hashOf(1).toString("hex"), hashOf(2).toString("hex")]
    // Two children passed off as one event, so that a tree of two has the root of a tree of four.
    const short = [`${JSON.stringify({ position: 1, hash: node.toString("hex"), leaf: { left, right } })}\n`, line(3)]
    expect(await judge(short, checkpoint(2, root(4)))).toMatchObject({ code: 11, position: 1 })
  })

  it("tells_apart_what_is_missing_moved_changed_emptied_and_no_log_at_all", async () => {
    const kept = checkpoint(9, root(9))
    const cases: ReadonlyArray<readonly [ReadonlyArray<string>, object]> = [
      [log(9).toSpliced(4, 2), { code: 12, position: 5 }],
      [[...log(9).toSpliced(4, 1), line(5)], { code: 13, position: 5, event: "e5" }],
      [log(9).toSpliced(4, 0, line(2)), { code: 13, position: 5 }],
      [log(9).with(4, line(5, leafOf(6))), { code: 11, position: 5, event: "e6" }],
      [log(9).with(4, line(5, leafOf(6), hashOf(6))), { code: 11, position: 5 }],
      [log(9).with(4, line(5, null)), { code: 18, position: 5 }],
      [log(8), { code: 14, position: 9 }],
      [log(9).with(4, "\n"), { code: 10 }],
      [log(9).with(4, "null\n"), { code: 10 }],
      [log(9).with(4, '{"position":5}\n'), { code: 10 }]
    ]
    for (const [lines, expected] of cases) expect(await judge(lines, kept)).toMatchObject(expected)
  })

  it("finds_the_key_in_a_set_alone_or_where_the_issuer_publishes_it", async () => {
    const kept = checkpoint(3, root(3))
    expect(await judge(log(3), kept, file("one.json", JSON.stringify(city.jwk)))).toMatchObject({ code: 0 })
    for (const key of ["", join(folder, "nothing"), file("rsa.json", '{"kty":"RSA"}'), "http://127.0.0.1:9/"])
      expect([key, (await judge(log(3), kept, key)).code]).toEqual([key, 64])
    const server = createServer((request, response) => {
      response.writeHead(request.url === "/city/.well-known/jwks.json" ? 200 : 404).end(JSON.stringify(city.jwk))
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const claims = { iss: `${address}/city/` }
    let said = ""
    const request = {
      export: file("log", log(3).join("")),
      checkpoints: file("signed", checkpoint(3, root(3), { claims }))
    }
    expect(await runVerify(request, false, (text) => (said += text))).toBe(0)
    expect(said).toBe(
      `verified: 3 events, root ${root(3)}, 1 checkpoints, key from ${address}/city/.well-known/jwks.json.`
    )
    server.close()
    const unnamed = { ...request, checkpoints: file("unnamed", kept) }
    expect(await runVerify(unnamed, false, (text) => (said += text))).toBe(64)
    expect(said).toContain("Give --key FILE")
  })

  it("answers_alike_alone_and_as_a_command_of_mahalla", async () => {
    const programs = [["main.ts"], ["../main.ts", "audit", "verify"]]
    const files = [
      file("log", log(3).join("")),
      file("signed", checkpoint(3, root(3))),
      file("more", checkpoint(4, root(4)))
    ]
    const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
    const run = ([program, ...words]: ReadonlyArray<string>, ...args: ReadonlyArray<string>) =>
      new Promise<readonly [number | null, string]>((resolve) => {
        const child = spawn(process.execPath, [...flags, join(import.meta.dirname, program!), ...words, ...args])
        let said = ""
        for (const stream of [child.stdout, child.stderr])
          stream.on("data", (chunk: Buffer) => (said += chunk.toString()))
        child.once("close", (code) => resolve([code, said]))
      })
    for (const program of programs) {
      const [log3, signed, more] = files as [string, string, string]
      const good = await run(program, log3, "--checkpoint", signed, "--key", jwks)
      expect(good).toEqual([0, `verified: 3 events, root ${root(3)}, 1 checkpoints, key from ${jwks}.\n`])
      const [code, said] = await run(program, log3, "--checkpoint", more, "--key", jwks, "--json")
      expect([code, JSON.parse(said).fault]).toEqual([14, "cut-tail"])
      expect((await run(program, log3, "--key", jwks))[0]).not.toBe(0)
    }
    expect(await run(["main.ts"])).toEqual([64, expect.stringContaining("Usage: mahalla-audit EXPORT")])
  })
})
