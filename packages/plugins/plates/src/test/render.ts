/**
 * Rendered plates on a plain scene, with a hand-drawn alphabet that the reader was not trained on. For tests and benchmarks: synthetic,
 * and easier than a street.
 */
import sharp from "sharp"

/** Strokes in a cell of 60 × 100. */
const strokes: Readonly<Record<string, string>> = {
  "0": "M30 7C48 7 52 22 52 50S48 93 30 93S8 78 8 50S12 7 30 7Z",
  "1": "M14 26L36 9V100",
  "2": "M9 30C9 14 18 7 30 7S51 15 51 29C51 44 36 56 9 93H54",
  "3": "M9 8H49L28 41C44 40 52 50 52 66C52 83 43 93 29 93C17 93 9 86 7 75",
  "4": "M38 0L8 71H56M43 48V100",
  "5": "M50 7H14L11 47C17 41 23 39 30 39C44 39 52 49 52 65C52 83 43 93 29 93C17 93 9 87 7 77",
  "6": "M42 0C18 32 8 48 8 66C8 83 16 93 30 93S52 83 52 67S44 42 31 42C20 42 12 50 9 60",
  "7": "M6 7H52L24 100",
  "8": "M30 7C42 7 49 14 49 26S42 45 30 45S11 38 11 26S18 7 30 7ZM30 45C44 45 52 55 52 69S44 93 30 93S8 83 8 69S16 45 30 45Z",
  "9": "M18 100C42 68 52 52 52 34C52 17 44 7 30 7S8 17 8 33S16 58 29 58C40 58 48 50 51 40",
  A: "M4 100L30 3L56 100M12 72H48",
  B: "M9 7H30C43 7 49 14 49 26S43 46 30 46H9M30 46C45 46 53 54 53 69S45 93 30 93H9V7",
  C: "M52 30C50 14 42 7 30 7C13 7 8 22 8 50S13 93 30 93C42 93 50 86 52 70",
  D: "M10 7H26C46 7 52 22 52 50S46 93 26 93H10Z",
  E: "M52 7H10V93H53M10 48H46",
  F: "M52 7H10V100M10 50H46",
  G: "M52 28C50 14 42 7 30 7C13 7 8 22 8 50S13 93 30 93C46 93 52 84 52 66V54H33",
  H: "M9 0V100M51 0V100M9 48H51",
  I: "M30 0V100",
  J: "M46 0V70C46 86 39 93 27 93C15 93 8 85 7 72",
  K: "M10 0V100M53 0L12 58M25 42L55 100",
  L: "M11 0V93H53",
  M: "M8 100V4L30 58L52 4V100",
  N: "M9 100V3L51 97V0",
  O: "M30 7C48 7 53 22 53 50S48 93 30 93S7 78 7 50S12 7 30 7Z",
  P: "M10 100V7H30C45 7 52 16 52 31S45 55 30 55H10",
  Q: "M30 7C48 7 53 22 53 50S48 93 30 93S7 78 7 50S12 7 30 7ZM34 66L56 100",
  R: "M10 100V7H30C45 7 52 15 52 29S45 52 30 52H10M32 52L54 100",
  S: "M51 28C49 14 42 7 30 7C17 7 10 14 10 26C10 54 52 38 52 70C52 85 44 93 30 93C16 93 8 86 7 71",
  T: "M4 7H56M30 7V100",
  U: "M9 0V66C9 84 16 93 30 93S51 84 51 66V0",
  V: "M5 0L30 97L55 0",
  W: "M4 0L17 96L30 30L43 96L56 0",
  X: "M6 0L54 100M54 0L6 100",
  Y: "M5 0L30 52L55 0M30 52V100",
  Z: "M8 7H51L9 93H53"
}

/** `|` is a rule across the plate, `-` a dash, a space a gap. */
const lineOf = (text: string): { readonly svg: string; readonly width: number } => {
  let x = 0
  let svg = ""
  for (const character of text) {
    if (character === " ") x += 34
    else if (character === "|") {
      svg += `<path d="M${x + 12} -32V132" stroke-width="5"/>`
      x += 36
    } else if (character === "-") {
      svg += `<path d="M${x + 4} 50H${x + 34}"/>`
      x += 52
    } else {
      svg += `<path d="${strokes[character] ?? ""}" transform="translate(${x} 0)"/>`
      x += 76
    }
  }
  return { svg, width: x - 16 }
}

export interface Scene {
  /** As painted: `01|A 123 AA`. */
  readonly plate: string
  /** Letters at the left end of the plate, as `GE`, on a blue band; and at the right end, as `UZ`. */
  readonly band?: string
  readonly tail?: string
  /** Pixels of a character's height. Default 26. */
  readonly cap?: number
  /** Degrees. Default 0. */
  readonly tilt?: number
  /** Sideways lean of the characters in degrees, as from a camera at the side. Default 0. */
  readonly lean?: number
  /** Standard deviation in pixels. Default 0.6. */
  readonly blur?: number
  /** 0–1: 1 is day, 0.15 a badly lit street at night. Default 1. */
  readonly light?: number
  /** Grey levels of the camera's noise. Default 3. */
  readonly noise?: number
  /** Of the noise. Default 1. */
  readonly seed?: number
}

export interface Rendered {
  readonly width: number
  readonly height: number
  /** PNG. */
  readonly png: Buffer
  /** The box of the text. */
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }
}

const width = 640
const height = 400

/** A car's rear with the plate below the middle. */
export const render = async (scene: Scene): Promise<Rendered> => {
  const cap = scene.cap ?? 26
  const light = scene.light ?? 1
  const line = lineOf(scene.plate)
  const scale = cap / 100
  const band = scene.band === undefined ? 0 : 70
  const tail = scene.tail === undefined ? 0 : 110
  const small = (text: string, x: number, y: number, ink: string) =>
    `<g transform="translate(${x} ${y}) scale(0.4)" stroke="${ink}" stroke-width="13">${lineOf(text).svg}</g>`
  const left = -28 - band
  const right = line.width + 28 + tail
  const plate = `<rect x="${left}" y="-34" width="${right - left}" height="168" rx="8" fill="#f2f2ee" stroke="#222" stroke-width="5"/>
    ${band === 0 ? "" : `<rect x="${left}" y="-34" width="${band}" height="168" fill="#1c3f94"/>${small(scene.band ?? "", left + 8, 80, "#fff")}`}
    ${tail === 0 ? "" : `<rect x="${line.width + 36}" y="-6" width="60" height="34" fill="#2a9d5c"/>${small(scene.tail ?? "", line.width + 36, 60, "#2b6cb0")}`}
    <g fill="none" stroke="#161616" stroke-width="13">${line.svg}</g>`
  const cx = width / 2
  const cy = 265
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="#7d8288"/>
    <rect x="90" y="60" width="460" height="270" rx="40" fill="#5a2430"/><rect x="140" y="75" width="360" height="90" rx="20" fill="#1c2126"/>
    <rect x="100" y="190" width="80" height="40" fill="#b03030"/><rect x="460" y="190" width="80" height="40" fill="#b03030"/>
    <g transform="translate(${cx} ${cy}) rotate(${scene.tilt ?? 0}) skewX(${scene.lean ?? 0}) scale(${scale}) translate(${-line.width / 2} -50)">${plate}</g></svg>`
  const clean = await sharp(Buffer.from(svg))
    .flatten({ background: "#7d8288" })
    .blur(Math.max(0.3, scene.blur ?? 0.6))
    .removeAlpha()
    .raw()
    .toBuffer()
  let state = scene.seed ?? 1
  const noise = scene.noise ?? 3
  for (let i = 0; i < clean.length; i++) {
    let sum = 0
    for (let k = 0; k < 3; k++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      sum += state / 2 ** 32 - 0.5
    }
    clean[i] = Math.max(0, Math.min(255, Math.round(clean[i]! * light + sum * 2 * noise)))
  }
  const png = await sharp(clean, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
  const half = (line.width * scale) / 2
  return { width, height, png, box: { x: cx - half, y: cy - cap / 2, width: 2 * half, height: cap } }
}
