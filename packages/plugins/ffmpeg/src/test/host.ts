/**
 * The engine's side of the plugin contract, as far as this plugin needs it.
 */
import { tmpdir } from "node:os"
import { Host, type Encoder, type Plugin, type PluginError } from "@mahalla/core/plugin"
import * as Layer from "effect/Layer"

const host = (mode: "dev" | "production") =>
  Layer.succeed(Host, Host.of({ instance: "ffmpeg", home: tmpdir(), scratch: tmpdir(), mode }))

/** A plugin's ports, for which a host is enough: it asks for no database. */
export const open = (plugin: Plugin, mode: "dev" | "production") =>
  plugin.layer.pipe(Layer.provide(host(mode))) as Layer.Layer<never, PluginError> as unknown as Layer.Layer<
    Encoder,
    PluginError
  >
