/** What societies number their members with, in the normal form of the port. */
export const numberPattern = "[\\p{L}\\p{N}/]{1,40}"

const whole = new RegExp(`^(?:${numberPattern})$`, "u")
export const isMemberNumber = (number: string): boolean => whole.test(number)
