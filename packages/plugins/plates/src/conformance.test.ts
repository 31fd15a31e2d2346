import { detectorSuite } from "@mahalla/core/testing"
import * as Layer from "effect/Layer"
import { describe, it } from "vitest"
import { plates } from "./index.ts"
import { provided, samples } from "./test/layer.ts"

detectorSuite.run({ describe, it }, { name: "plates", layer: Layer.merge(provided(plates({})), samples) })
