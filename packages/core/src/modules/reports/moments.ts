/** At which moments a video is looked at. */

/** Frames looked at in a video at most: two a second, then thinner. */
const maxFrames = 24

/** Moments to look at: dense around the one the citizen named, even over the rest. */
export const momentsFor = (duration: number, moment: number | undefined): ReadonlyArray<number> => {
  const last = Math.max(0, duration - 0.1)
  const near = moment === undefined ? [] : [-1, -0.5, 0, 0.5, 1].map((step) => moment + step)
  const rest = maxFrames - near.length
  const step = Math.max(0.5, duration / rest)
  const even = Array.from({ length: Math.floor(last / step) + 1 }, (_, index) => index * step)
  const all = [...near, ...even].map((at) => Math.round(Math.min(Math.max(at, 0), last) * 100) / 100)
  return [...new Set(all)].sort((a, b) => a - b).slice(0, maxFrames)
}
