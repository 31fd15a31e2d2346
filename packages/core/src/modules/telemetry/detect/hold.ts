/** When a statistical detector may speak, so that one thing that happens is told once. */
import { share } from "./model.ts"

export interface Hold {
  /** Of the last anomaly that was raised, fading. */
  strength: number
}

export const freshHold = (): Hold => ({ strength: 0 })

/** Units after which the demand on a second anomaly has faded to a third or so: six hours at five minutes. */
const fading = 72

/** A second anomaly must be twice as strong as the last; that demand fades. A strength of 1 is what the default sensitivity raises. */
export const raises = (hold: Hold, strength: number, limit: number, seconds: number, unit: number): boolean => {
  hold.strength *= 1 - share(seconds, fading * unit)
  if (strength < limit || strength <= 2 * hold.strength) return false
  hold.strength = strength
  return true
}

/** A strength on the scale of `Anomaly.score`: 1 becomes 0.5, and `1 - sensitivity` the least that is raised. */
export const scoreOf = (strength: number): number => strength / (1 + strength)

/** The strength whose score is `1 - sensitivity`. */
export const limitOf = (sensitivity: number): number => (1 - sensitivity) / sensitivity
