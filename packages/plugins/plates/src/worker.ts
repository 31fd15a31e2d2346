/**
 * The reader's process: decodes pictures and reads them, one request at a time. It is a process of its own so that its memory goes when
 * it is idle, and so that a decoder that hangs or dies takes nothing with it.
 */
import process from "node:process"
import sharp from "sharp"
import { faceModel } from "./faceModel.ts"
import { type Face, FaceFinder, readWeights, strongest } from "./faces.ts"
import { unpack } from "./network.ts"
import { openColours, openPicture, type Picture, Refusal, sidesForFaces } from "./open.ts"
import type { Answer, Question } from "./protocol.ts"
import { type PlateReading, readPlates } from "./read.ts"
import { packed } from "./weights.ts"

// One thread and no cache: the machine is shared with the server and the encoder.
sharp.concurrency(1)
sharp.cache(false)

const network = unpack(packed)
const finder = new FaceFinder(readWeights(...faceModel()))

/** A box inside the picture, from one in a picture of another size. */
const placed = ({ height, width }: Picture, box: Face["box"], scale: number): Face["box"] => {
  const x = Math.min(Math.max(0, Math.round(box.x * scale)), width - 1)
  const y = Math.min(Math.max(0, Math.round(box.y * scale)), height - 1)
  return {
    x,
    y,
    width: Math.max(1, Math.min(Math.round(box.width * scale), width - x)),
    height: Math.max(1, Math.min(Math.round(box.height * scale), height - y))
  }
}

const answer = async (question: Question): Promise<Answer> => {
  const frames: Array<ReadonlyArray<PlateReading>> = []
  const faces: Array<ReadonlyArray<Face>> = []
  for (const path of question.paths) {
    try {
      const picture = await openPicture(path, question)
      frames.push(
        readPlates(network, picture.grey, question.countries).map((reading) => ({
          ...reading,
          box: placed(picture, reading.box, picture.scale)
        }))
      )
      const found: Array<Face> = []
      for (const side of sidesForFaces) {
        const colours = await openColours(path, side)
        const scale = picture.width / colours.across
        found.push(...finder.find(colours).map((face) => ({ ...face, box: placed(picture, face.box, scale) })))
      }
      faces.push(strongest(found))
    } catch (cause) {
      return cause instanceof Refusal
        ? { id: question.id, ok: false, reason: cause.reason, path, message: cause.message }
        : {
            id: question.id,
            ok: false,
            reason: "Failed",
            path,
            message: cause instanceof Error ? cause.message : String(cause)
          }
    }
  }
  return { id: question.id, ok: true, frames, faces }
}

process.on("message", (question: Question) => {
  void answer(question).then((said) => process.send?.(said))
})
// The server is gone: nobody will ask again.
process.on("disconnect", () => process.exit(0))
