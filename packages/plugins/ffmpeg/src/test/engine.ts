/**
 * An engine in a process of its own that transcodes, to be killed by a test.
 */
import { Encoder } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { ffmpeg } from "../index.ts"
import { open } from "./host.ts"

const [program = "", ffprobe = "", input = "", output = ""] = process.argv.slice(2)
const call = Encoder.use((encoder) => encoder.transcode({ input, output }))
await Effect.runPromise(Effect.provide(call, open(ffmpeg({ ffmpeg: program, ffprobe }), "production")))
