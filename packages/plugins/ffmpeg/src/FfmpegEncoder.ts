/**
 * The Encoder port on ffmpeg's command line. Outputs are made in a folder beside their place and moved there when they are whole, so
 * that nobody sees a part of one and a failure leaves nothing.
 */
import { Encoder } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { frames } from "./frames.ts"
import { examine, type Shop } from "./medium.ts"
import { poster } from "./poster.ts"
import { transcode } from "./transcode.ts"

export const makeEncoder = (shop: Shop): Encoder["Service"] =>
  Encoder.of({
    model: `ffmpeg/${shop.programs.version}`,
    probe: Effect.fn("Encoder.probe")((path: string) =>
      Effect.map(examine(shop, { operation: "probe", path }), (medium) => medium.info)
    ),
    transcode: transcode(shop),
    poster: poster(shop),
    frames: frames(shop)
  })
