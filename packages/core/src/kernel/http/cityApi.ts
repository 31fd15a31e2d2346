/** Where every API of the city begins: unknown keys are refused, and all mistakes of a request are named at once. */
import * as HttpApi from "effect/http-api/HttpApi"

/** `HttpApi.make` with the city's rules for requests; add groups, then `.prefix("/v1")`. */
export const cityApi = <const Id extends string>(id: Id) =>
  HttpApi.make(id).annotate(HttpApi.ParseOptions, { errors: "all", onExcessProperty: "error" })
