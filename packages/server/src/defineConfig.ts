/** The shape of `mahalla.config.ts`: what the command line and `npm start` run. */
import type { City, CityConfig } from "@mahalla/core"
import type { DefaultsOptions } from "./defaults.ts"

/** Demo data and what the demonstration needs to know of it. */
export interface Demo {
  /** Slug of the demo tenant. */
  readonly tenant: string
  /** Puts the data in place; safe to run again. */
  readonly seed: (city: City) => Promise<void>
  /** Where demonstrations happen, WGS84 degrees. */
  readonly place: { readonly longitude: number; readonly latitude: number }
  /** Code of an offence of the catalogue; without it there is no main job of traffic reports to be played. */
  readonly offence?: string
}

export type DeploymentConfig = Omit<CityConfig, "home" | "mode"> & { readonly demo?: Demo }

/** What the environment says: `DATABASE_URL`, `MAHALLA_PUBLIC_URL`, `S3_*`. */
export interface Environment {
  readonly databaseUrl: string | undefined
  /** Where the world sees the city, as `https://city.example`. */
  readonly publicUrl: string | undefined
  readonly s3: DefaultsOptions["s3"]
  readonly mode: "dev" | "production"
}

export type ConfigFile = (environment: Environment) => DeploymentConfig

/** Gives a configuration file its types. */
export const defineConfig = (make: ConfigFile): ConfigFile => make

/** Reads the process's environment. */
export const environmentOf = (
  env: Readonly<Record<string, string | undefined>>,
  mode: Environment["mode"]
): Environment => ({
  databaseUrl: env["DATABASE_URL"] === "" ? undefined : env["DATABASE_URL"],
  publicUrl: env["MAHALLA_PUBLIC_URL"] === "" ? undefined : env["MAHALLA_PUBLIC_URL"],
  s3:
    env["S3_BUCKET"] === undefined
      ? undefined
      : {
          bucket: env["S3_BUCKET"],
          region: env["S3_REGION"] ?? "us-east-1",
          ...(env["S3_ENDPOINT"] === undefined ? {} : { endpoint: env["S3_ENDPOINT"], forcePathStyle: true }),
          accessKeyId: env["S3_ACCESS_KEY_ID"] ?? "",
          secretAccessKey: env["S3_SECRET_ACCESS_KEY"] ?? ""
        },
  mode
})
