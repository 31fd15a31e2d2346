/**
 * Finds licence plates in photographs and video frames and reads them, and finds the faces that copies must hide, offline. For cities where
 * people report vehicles; every finding says whether it is certain, and an inspector decides on those that are not.
 */
import { definePlugin, Detector } from "@mahalla/core/plugin"
import { PlatesConfig } from "./config.ts"
import { platesDetector } from "./PlatesDetector.ts"

export { PlatesConfig } from "./config.ts"
export { model } from "./PlatesDetector.ts"

export const plates = definePlugin({
  id: "@mahalla/plates",
  apiVersion: 1,
  config: PlatesConfig,
  provides: [Detector],
  capabilities: { kinds: ["plate", "face"], countries: ["UZ", "GE"], offline: true },
  layer: (config) => platesDetector(config)
})
