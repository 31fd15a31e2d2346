/** The roles a new city starts with. Roles are data: a city may change them and add its own. */
import type { Role, Roles } from "./decide.ts"

/**
 * Roles by id, later ones in the place of earlier ones. `*.verb` in a role means that verb on every case type of the city, and on nothing else: a right
 * to create reports is no right to create staff.
 */
export const rolesOf = (roles: ReadonlyArray<Role>, caseTypes: ReadonlyArray<string>): Roles =>
  new Map(
    roles.map((role) => [
      role.id,
      {
        ...role,
        permissions: role.permissions.flatMap((permission) =>
          permission.startsWith("*.") && permission !== "*.*"
            ? caseTypes.map((type) => type + permission.slice(1))
            : [permission]
        )
      }
    ])
  )

export const presetRoles: ReadonlyArray<Role> = [
  { id: "anonymous", title: "Visitor", permissions: ["case-type.read", "attachment.create"] },
  {
    id: "citizen",
    title: "Citizen",
    permissions: [
      "case-type.read",
      "*.create",
      "*.read:own",
      "*.withdraw:own",
      "*.appeal:own",
      "*.submit:own",
      "*.comment:own",
      "*.subscribe",
      "attachment.create",
      "attachment.read:own",
      "payout.read:own"
    ]
  },
  {
    id: "inspector",
    title: "Inspector",
    permissions: [
      "*.read",
      "*.decide",
      "*.claim",
      "*.comment",
      "*.comment-internal",
      "*.link",
      "attachment.read",
      "attachment.read-original",
      "finding.read",
      "filing.*"
    ]
  },
  {
    id: "dispatcher",
    title: "Dispatcher",
    permissions: [
      "*.read",
      "*.assign",
      "*.claim",
      "*.comment",
      "*.comment-internal",
      "*.link",
      "attachment.read",
      "finding.read",
      "device.read",
      "reading.read",
      "asset.read"
    ]
  },
  {
    id: "treasurer",
    title: "Treasurer",
    permissions: ["payout.*", "account.*", "filing.read", "traffic-report.read", "traffic-violation.read"]
  },
  {
    id: "auditor",
    title: "Auditor",
    permissions: [
      "*.read",
      "attachment.read",
      "finding.read",
      "event.read",
      "audit.read",
      "account.read",
      "payout.read",
      "filing.read",
      "message.read",
      "broadcast.read",
      "notification.read",
      "job.read",
      "principal.read",
      "role.read",
      "key.read",
      "retention.read",
      "plugin.read",
      "device.read",
      "device-profile.read",
      "reading.read",
      "asset.read",
      "webhook.read"
    ]
  },
  { id: "municipality-admin", title: "Administrator", permissions: ["*.*"] },
  // Nobody of the city's: the platform gives it to itself for a while, with a reason.
  { id: "super-admin", title: "Platform", permissions: ["*.*"] }
]
