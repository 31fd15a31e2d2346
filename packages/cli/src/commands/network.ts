/** `mahalla network import`: a file of EPANET or a GeoJSON drawing into a city's network of pipes. */
import { createReadStream, statSync } from "node:fs"
import { basename, extname, resolve } from "node:path"
import { importNetwork, type ImportReport, readNetwork, transformOf } from "@mahalla/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { attempt, CommandError } from "../failure.ts"
import { pickTenant } from "../links.ts"
import { makeOutput } from "../output.ts"
import { loadProject } from "../project.ts"
import { root } from "../root.ts"

const optional = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

/** Two numbers with a comma between; undefined where the flag was not given. */
const pairOf = (flag: string, given: Option.Option<string>): readonly [number, number] | undefined => {
  if (Option.isNone(given)) return undefined
  const [first, second, ...rest] = given.value
    .split(",")
    .map((part) => (part.trim() === "" ? Number.NaN : Number(part)))
  if (first !== undefined && second !== undefined && rest.length === 0 && Number.isFinite(first + second))
    return [first, second]
  throw new CommandError({ message: `--${flag} takes two numbers, as --${flag}=69.28,41.31.`, exitCode: 64 })
}

interface Issue {
  readonly pointer: string
  readonly detail: string
}

/** Each mistake of a file on a line of its own. */
const explain = (error: unknown): never => {
  const { _tag, issues } = error as { readonly _tag?: string; readonly issues?: ReadonlyArray<Issue> }
  if (_tag !== "InvalidInput" || issues === undefined) throw error
  const lines = issues.map(({ detail, pointer }) => (pointer.startsWith("/") ? `${pointer}: ${detail}` : detail))
  throw new CommandError({ message: `Nothing was changed.\n${lines.join("\n")}`, exitCode: 65 })
}

const summary = (name: string, report: ImportReport, dryRun: boolean): string => {
  const words = dryRun ? "would be" : "were"
  const { added, changed, retired, unchanged } = report
  return `${name}: ${added} assets ${words} added, ${changed} changed, ${retired} retired; ${unchanged} stay as they are.`
}

const imported = Command.make(
  "import",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("An EPANET input file (.inp), or GeoJSON (.geojson, .json)")
    ),
    tenant: optional("tenant", "Slug of the tenant; needed when there are several"),
    name: optional("name", "Name of the network. Default: the file's"),
    anchor: optional("anchor", "longitude,latitude of the file's origin, for drawings without a coordinate system"),
    origin: optional("origin", "x,y in the file that lie at the anchor. Default 0,0"),
    metresPerUnit: Flag.Finite("metres-per-unit").pipe(
      Flag.optional,
      Flag.withDescription("Metres of one unit of the file's coordinates. Default 1")
    ),
    projection: optional("projection", "The file's coordinate system: EPSG:32642, a PROJ text, or degrees"),
    tolerance: Flag.Finite("tolerance").pipe(
      Flag.optional,
      Flag.withDescription("Metres within which the end of a GeoJSON line and a point are one. Default 1")
    ),
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Say what would change, and change nothing")
    )
  },
  Effect.fn(function* ({ anchor, dryRun, file, metresPerUnit, name, origin, projection, tenant, tolerance }) {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    yield* attempt(async () => {
      // npm runs scripts in the package's folder; the file was named from where the person stands.
      const path = resolve(process.env["INIT_CWD"] ?? ".", file)
      if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
        throw new CommandError({ message: `There is no file ${path}.`, exitCode: 66 })
      const metres = Option.getOrUndefined(tolerance)
      if (metres !== undefined && !(metres >= 0.001 && metres <= 100))
        throw new CommandError({
          message: `--tolerance is ${metres}; it is metres, from 0.001 to 100.`,
          exitCode: 64
        })
      const format = /^\.(geo)?json$/i.test(extname(path)) ? ("geojson" as const) : ("epanet" as const)
      const [longitude, latitude] = pairOf("anchor", anchor) ?? []
      const [x, y] = pairOf("origin", origin) ?? []
      const transform = transformOf({
        ...{ longitude, latitude, x, y },
        metresPerUnit: Option.getOrUndefined(metresPerUnit),
        projection: Option.getOrUndefined(projection)
      })
      if (transform !== undefined && !("kind" in transform)) return explain(transform)
      const network = Option.getOrElse(name, () => basename(path, extname(path)))
      const project = await loadProject(dir, "production")
      if (!project.config.modules.some(({ id }) => id === "network"))
        throw new CommandError({
          message: "This city has no networks; add network() to the modules in mahalla.config.ts.",
          exitCode: 64
        })
      const city = project.city({ mode: "dev", only: [], migrate: false, logLevel: "Warn" })
      try {
        await city.start()
        const slug = await pickTenant(city, Option.getOrUndefined(tenant))
        const bytes = Stream.fromAsyncIterable(createReadStream(path), (error) => error)
        const work = Effect.flatMap(readNetwork<unknown>(bytes, format, metres), (read) =>
          importNetwork({
            network,
            format,
            file: read,
            transform,
            dryRun,
            progress: (done, total) => Effect.sync(() => out.progress("assets", done, total))
          })
        )
        const report = await city.as({ tenant: slug, principal: "system" }).run(work).catch(explain)
        for (const warning of report.warnings) out.say(warning)
        out.say(summary(network, report, dryRun), { network, dryRun, ...report })
      } finally {
        await city.close()
      }
    })
  })
).pipe(Command.withDescription("Bring a network's file in, or what has changed in it since the last time"))

export const network = Command.make("network").pipe(
  Command.withDescription("Networks of pipes"),
  Command.withSubcommands([imported])
)
