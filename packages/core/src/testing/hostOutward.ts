/** What plugins that send requests are given in tests: the engine's own guard. */
import * as Layer from "effect/Layer"
import { makeHostOutward } from "../kernel/outward/post.ts"
import { HostOutward } from "../plugin/HostOutward.ts"

/** `networks`: as in `outwardNetworks` of a city. */
export const hostOutward = (networks: ReadonlyArray<string> = []): Layer.Layer<HostOutward> =>
  Layer.succeed(HostOutward, makeHostOutward(networks))
