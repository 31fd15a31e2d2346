import { network } from "@mahalla/core"
import { defaults, defineConfig } from "@mahalla/server"

/** A city with nothing but pipes. */
export default defineConfig(({ databaseUrl, s3 }) => ({
  plugins: defaults({ databaseUrl, s3 }),
  modules: [network()]
}))
