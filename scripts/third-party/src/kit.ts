/** The conformance kit under node:test, and a plugin opened as a city would, without one. */
import { Host, HostDatabase, type HostServices, type Plugin, type PluginError } from "@mahalla/core/plugin"
import { fakeCallbacks, hostOutward, type Runner } from "@mahalla/core/testing"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { tmpdir } from "node:os"
import { describe, it } from "node:test"

export const runner: Runner = {
  describe,
  it: (name, body, timeout) => it(name, { timeout: timeout ?? 60_000 }, body)
}

const nowhere = Redacted.make("postgres://nobody@127.0.0.1:1/nothing")

const services: Layer.Layer<HostServices> = Layer.mergeAll(
  Layer.succeed(Host, { instance: "test", home: tmpdir(), scratch: tmpdir(), mode: "dev" }),
  Layer.succeed(HostDatabase, { platform: nowhere, listen: nowhere, pooled: false }),
  hostOutward(),
  fakeCallbacks().layer
)

/** The plugin's ports are erased from its type; the caller says which it expects. */
export const open = <Port>(plugin: Plugin): Layer.Layer<Port, PluginError> =>
  (plugin.layer as unknown as Layer.Layer<Port, PluginError, HostServices>).pipe(Layer.provide(services))
