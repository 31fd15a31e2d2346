/** Follows the frames of an MQTT stream without reading them, so that nothing is gathered that is too large to be taken. */

/** MQTT's own longest length field: four bytes of seven bits. */
const longest = 21

/** Tells for each piece of a stream whether all frames that begin in it are small enough. `first`: most bytes of the first frame. */
export const frameGuard = (first: number, most: number): ((piece: Uint8Array) => boolean) => {
  let limit = first
  /** Bytes of the frame under way that are still to come; the length field is being read while it is undefined. */
  let left: number | undefined = 0
  let length = 0
  let shift = 0
  return (piece) => {
    let at = 0
    while (at < piece.length) {
      if (left === undefined) {
        const byte = piece[at++]!
        length += (byte & 0x7f) << shift
        shift += 7
        if (byte < 0x80) {
          if (length > limit) return false
          limit = most
          left = length
        } else if (shift > longest) return false
      } else if (left > 0) {
        const step = Math.min(left, piece.length - at)
        left -= step
        at += step
      } else {
        at++
        left = undefined
        length = 0
        shift = 0
      }
    }
    return true
  }
}
