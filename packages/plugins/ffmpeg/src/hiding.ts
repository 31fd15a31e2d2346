/**
 * Regions made unrecognisable, as filters of the same run. `delogo` fills a region from the pixels around it: nothing of what was there
 * is left to be sharpened again, and a region costs next to nothing while it is not shown.
 */
import { type BlurRegion, maxBlurRegions } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { tooLarge, type Task } from "./errors.ts"
import type { Size } from "./geometry.ts"

/** Seconds since the first picture that comes by, in ffmpeg's words. */
export const sinceFirst = "t-if(n,ld(0),st(0,t))"

export interface Hiding {
  readonly regions: ReadonlyArray<BlurRegion>
  /** The size that the regions count in. */
  readonly shown: Size
  /** Of the pictures that the filters get. */
  readonly size: Size
  /** Seconds from the start as ffmpeg's expression; absent: all the time. */
  readonly clock?: string
}

const enabled = ({ from, to }: BlurRegion, clock: string | undefined) =>
  clock === undefined || (from === undefined && to === undefined)
    ? ""
    : `:enable='between(${clock},${(from ?? 0).toFixed(3)},${(to ?? 1e6).toFixed(3)})'`

/** The filter leaves the outermost pixels alone, because it draws from them. */
const border = 1

export const hiding = ({ clock, regions, shown, size }: Hiding): ReadonlyArray<string> =>
  regions.flatMap((region) => {
    const { box } = region
    const [across, down] = [size.width / shown.width, size.height / shown.height]
    const x0 = Math.max(border, Math.floor(box.x * across))
    const y0 = Math.max(border, Math.floor(box.y * down))
    const x1 = Math.min(size.width - border, Math.ceil((box.x + box.width) * across))
    const y1 = Math.min(size.height - border, Math.ceil((box.y + box.height) * down))
    if (!(x1 > x0 && y1 > y0)) return []
    return [`delogo=x=${x0}:y=${y0}:w=${x1 - x0}:h=${y1 - y0}${enabled(region, clock)}`]
  })

export const demandFew = (task: Task, regions: ReadonlyArray<BlurRegion> | undefined) =>
  (regions?.length ?? 0) > maxBlurRegions
    ? Effect.fail(tooLarge(task, `${regions?.length} regions are to be blurred, allowed are ${maxBlurRegions}`))
    : Effect.void
