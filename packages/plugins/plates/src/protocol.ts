/** What the server's process and the reader's process say to each other. */
import type { Face } from "./faces.ts"
import type { PlateReading } from "./read.ts"

export interface Question {
  readonly id: number
  readonly paths: ReadonlyArray<string>
  readonly countries: ReadonlyArray<string>
  readonly maxPixels: number
  readonly maxBytes: number
}

export type Answer =
  | {
      readonly id: number
      readonly ok: true
      /** Plates of each picture. */
      readonly frames: ReadonlyArray<ReadonlyArray<PlateReading>>
      /** Faces of each picture. */
      readonly faces: ReadonlyArray<ReadonlyArray<Face>>
    }
  | {
      readonly id: number
      readonly ok: false
      readonly reason: "NotMedia" | "TooLarge" | "Failed"
      readonly path: string
      readonly message: string
    }
