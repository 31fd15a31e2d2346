/** Rendered Uzbek and Georgian plates under blur, tilt, lean and night: synthetic, since no open set of real ones exists. */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { render, type Scene } from "../packages/plugins/plates/src/test/render.ts"

const uzbek = [
  "01|A 123 BC",
  "10|Z 707 AA",
  "30|B 456 KO",
  "95|Q 918 HX",
  "60|T 010 OA",
  "01|777 AAA",
  "85|305 MBA",
  "25|1804 CA",
  "01|M 123456",
  "D 012345",
  "T 104729 01"
]
const georgian = ["AB-123-CD", "QI-707-IO", "ZZ-018-GE", "TT-564-XK", "WM-999-RS", "OOP-310", "TBC-777"]

const conditions: Readonly<Record<string, ReadonlyArray<Omit<Scene, "plate">>>> = {
  "by day": [{}, { cap: 18 }, { cap: 44 }],
  blurred: [{ blur: 1.4 }, { blur: 2 }, { blur: 2.6 }],
  "tilted and from the side": [{ tilt: 8 }, { tilt: -6, lean: 12 }, { lean: -18 }],
  "at night": [
    { light: 0.3, noise: 6 },
    { light: 0.18, noise: 6 },
    { light: 0.12, noise: 8, blur: 1 }
  ]
}

const slug = (text: string) => text.replaceAll(/[^A-Z0-9]/g, "")

export const renderPlates = async (folder: string) => {
  const groups: Array<{ title: string; cases: Array<{ name: string; path: string; text: string }> }> = []
  let seed = 1
  for (const [country, plates] of [
    ["Uzbek", uzbek],
    ["Georgian", georgian]
  ] as const)
    for (const [condition, scenes] of Object.entries(conditions)) {
      const cases = []
      for (const plate of plates)
        for (const scene of scenes) {
          const name = `${country}-${seed++}.png`
          const ends = country === "Uzbek" ? { tail: "UZ" } : { band: "GE" }
          const { png } = await render({ plate, seed, ...ends, ...scene })
          await writeFile(join(folder, name), png)
          cases.push({ name: `${plate} ${JSON.stringify(scene)}`, path: join(folder, name), text: slug(plate) })
        }
      groups.push({ title: `${country} plates ${condition}`, cases })
    }
  return groups
}
