/**
 * The reader's process: decodes pictures and reads them, one request at a time. It is a process of its own so that its memory goes when
 * it is idle, and so that a decoder that hangs or dies takes nothing with it.
 */
import process from "node:process"
import sharp from "sharp"
import { unpack } from "./network.ts"
import { openPicture, Refusal } from "./open.ts"
import type { Answer, Question } from "./protocol.ts"
import { type PlateReading, readPlates } from "./read.ts"
import { packed } from "./weights.ts"

// One thread and no cache: the machine is shared with the server and the encoder.
sharp.concurrency(1)
sharp.cache(false)

const network = unpack(packed)

const answer = async (question: Question): Promise<Answer> => {
  const frames: Array<ReadonlyArray<PlateReading>> = []
  for (const path of question.paths) {
    try {
      const picture = await openPicture(path, question)
      const back = (value: number) => Math.round(value * picture.scale)
      frames.push(
        readPlates(network, picture.grey, question.countries).map((reading) => {
          const x = Math.min(back(reading.box.x), picture.width - 1)
          const y = Math.min(back(reading.box.y), picture.height - 1)
          const width = Math.max(1, Math.min(back(reading.box.width), picture.width - x))
          const height = Math.max(1, Math.min(back(reading.box.height), picture.height - y))
          return { ...reading, box: { x, y, width, height } }
        })
      )
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
  return { id: question.id, ok: true, frames }
}

process.on("message", (question: Question) => {
  void answer(question).then((said) => process.send?.(said))
})
// The server is gone: nobody will ask again.
process.on("disconnect", () => process.exit(0))
