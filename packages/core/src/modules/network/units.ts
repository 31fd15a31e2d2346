/** EPANET's units as the engine's: metres, millimetres, m³/h. EPANET 2.2 User Manual, appendix A (units of measurement). */

/** m³/h of one unit of flow. Flows of the first kind mean feet and inches, of the second metres and millimetres. */
const customary: Readonly<Record<string, number>> = {
  CFS: 101.940_648,
  GPM: 0.227_124_707,
  MGD: 157.725_491,
  IMGD: 189.420_417,
  AFD: 51.395_077
}
const metric: Readonly<Record<string, number>> = {
  LPS: 3.6,
  LPM: 0.06,
  MLD: 41.666_667,
  CMH: 1,
  CMD: 1 / 24,
  CMS: 3600
}

export interface InpUnits {
  /** Factors from the file's units. */
  readonly flow: number
  readonly length: number
  readonly diameter: number
}

/** Of `UNITS` in `[OPTIONS]`; undefined where EPANET has no such unit. Default of a file: `GPM`. */
export const unitsOf = (name: string): InpUnits | undefined => {
  const unit = name.toUpperCase()
  const feet = customary[unit]
  if (feet !== undefined) return { flow: feet, length: 0.3048, diameter: 25.4 }
  const metres = metric[unit]
  return metres === undefined ? undefined : { flow: metres, length: 1, diameter: 1 }
}
