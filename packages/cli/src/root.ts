/** What every command shares. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"

export const root = Command.make("mahalla").pipe(
  Command.withDescription("Run a civic engine: a city, an app or a company takes in what people and sensors send."),
  Command.withSharedFlags({
    json: Flag.Boolean("json").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Print JSON lines for programs instead of text for people")
    ),
    dir: Flag.String("dir").pipe(Flag.withDefault("."), Flag.withDescription("Folder with mahalla.config.ts"))
  })
)
