/** A city with a report in review and people around it, for tests of everything that could be wrong about a request. */
import { type Answer, type Client, until, upload } from "./client.ts"
import { type CityKit, openCityKit, picture, report } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

export interface Room {
  readonly kit: CityKit
  readonly citizen: Client & { readonly id: string }
  readonly neighbour: Client & { readonly id: string }
  /** Of the citizen, in review, with its one violation. */
  readonly reported: { readonly id: string; readonly violation: string }
  /** A report in the other city. */
  readonly theirs: string
  /** The citizen's, in no report. */
  readonly attachment: string
}

export const openRoom = async (postgresUrl: string): Promise<Room> => {
  const kit = await openCityKit({ postgresUrl, config: { maxBodySize: 65_536 } })
  const citizen = await kit.samarkand.citizen("+998901000001")
  const neighbour = await kit.samarkand.citizen("+998901000002")
  const { id } = await report(citizen)
  const theirs = (await report(await kit.bukhara.citizen("+998901000003"))).id
  const attachment = (await upload(citizen, picture(), "spare.jpg")).id
  const violation = await until("proposed", async () => {
    const { body } = await kit.samarkand.staff.inspector.get(`/v1/cases?type=traffic-violation&parent=${id}`)
    return body.items[0]?.id as string | undefined
  })
  return { kit, citizen, neighbour, reported: { id, violation }, theirs, attachment }
}

export type Row = readonly [
  name: string,
  ask: () => Promise<Answer>,
  status: number,
  type: string,
  pointers?: ReadonlyArray<string>
]

/** Asks row by row and holds each answer to what it must be. */
export const hold = (rows: () => ReadonlyArray<Row>) => async (): Promise<void> => {
  for (const [name, ask, status, type, pointers = []] of rows())
    expectProblem(name, await ask(), { status, type, pointers })
}
