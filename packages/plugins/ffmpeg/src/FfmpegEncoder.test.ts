import { encoderFixtures, encoderSuite } from "@mahalla/core/testing"
import { describe, it } from "vitest"
import { drawing, encoder, folder, npm, system } from "./test/settings.ts"

const drawn = await encoderFixtures({ ffmpeg: drawing, directory: folder() })

const timeout = 180_000
/** With `MAHALLA_SOAK=1` of both; otherwise the system's, where there is one: the older one has the formats' tests. */
const soak = process.env["MAHALLA_SOAK"] === "1"
if (system !== undefined)
  encoderSuite(drawn).run({ describe, it }, { name: "ffmpeg of the system", layer: encoder(system), timeout })
if (soak || system === undefined)
  encoderSuite(drawn).run({ describe, it }, { name: "ffmpeg of npm, from 2018", layer: encoder(npm, "dev"), timeout })
