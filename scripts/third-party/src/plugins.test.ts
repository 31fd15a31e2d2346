import { BlobStore, PluginError, type Plugin } from "@mahalla/core/plugin"
import { blobStoreSuite } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, it } from "node:test"
import { open, runner } from "./kit.ts"
import { locker } from "./locker.ts"
import { shelf } from "./shelf.ts"

const folder = mkdtempSync(join(tmpdir(), "acme-"))
after(() => rmSync(folder, { recursive: true, force: true }))

for (const [name, plugin] of Object.entries({ shelf, locker })) {
  const make: (config: { readonly folder: string }, options?: { readonly instance: string }) => Plugin = plugin

  blobStoreSuite.run(runner, { name, layer: open<BlobStore>(make({ folder: join(folder, name) })) })

  it(`${name} says which key of the configuration is wrong`, async () => {
    const layer = open<BlobStore>(make({ folder: "" }))
    const failure = await Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(layer))))
    assert.ok(failure instanceof PluginError)
    assert.equal(failure.reason, "InvalidConfig")
    assert.match(failure.message, /folder/)
  })

  it(`${name} tells two instances apart`, () => {
    assert.equal(make({ folder }).instance, `@acme/${name}`)
    assert.equal(make({ folder }, { instance: "attic" }).instance, "attic")
  })
}
