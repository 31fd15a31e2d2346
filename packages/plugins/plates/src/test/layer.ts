/** The plugin as a city would run it, with a home of its own; and rendered pictures for the detector suite. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Detector, Host, type Plugin } from "@mahalla/core/plugin"
import { DetectorSamples } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { render, type Scene } from "./render.ts"

const home = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "mahalla-plates-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** A plugin's layer says nothing of what it provides; this one provides the Detector. */
export const provided = (plugin: Plugin): Layer.Layer<Detector, unknown> =>
  Layer.unwrap(
    Effect.map(home, (folder) =>
      plugin.layer.pipe(
        Layer.provide(Layer.succeed(Host, { instance: plugin.instance, home: folder, scratch: folder, mode: "dev" }))
      )
    )
  ) as unknown as Layer.Layer<Detector, unknown>

const readable: ReadonlyArray<Scene> = [
  { plate: "01|A 123 BC", tail: "UZ", cap: 30 },
  { plate: "AB-123-CD", band: "GE", cap: 30 }
]
const unreadable: ReadonlyArray<Scene> = [
  { plate: "01|A 123 BC", tail: "UZ", blur: 7 },
  { plate: "AB-123-CD", band: "GE", blur: 6 },
  { plate: "01|A 123 BC", tail: "UZ", light: 0.03, noise: 12 }
]

/** Each rule gets a fresh layer; the pictures are painted once. */
const painted = new Map<Scene, ReturnType<typeof render>>()
const paint = (scene: Scene) => {
  const known = painted.get(scene) ?? render(scene)
  painted.set(scene, known)
  return known
}

export const samples = Layer.effect(
  DetectorSamples,
  Effect.gen(function* () {
    const folder = yield* home
    const write = (scene: Scene, name: string) =>
      Effect.promise(async () => {
        const { png, ...rendered } = await paint(scene)
        const path = join(folder, name)
        writeFileSync(path, png)
        return { ...rendered, path, kind: "plate", text: scene.plate.replaceAll(/[^A-Z0-9]/g, "") }
      })
    return {
      readable: yield* Effect.forEach(readable, (scene, i) => write(scene, `readable-${i}.png`)),
      unreadable: yield* Effect.forEach(unreadable, (scene, i) =>
        Effect.map(write(scene, `unreadable-${i}.png`), ({ path }) => path)
      )
    }
  })
)
