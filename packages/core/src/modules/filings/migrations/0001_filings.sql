-- Decisions that are filed with government systems.

create table mahalla.filing (
  tenant_id uuid not null references mahalla.tenant,
  -- Our number; the authority knows the filing by it.
  id uuid not null,
  case_id uuid not null,
  -- What is filed, as `traffic-violation`.
  kind text not null check (kind ~ '^[a-z0-9][a-z0-9-]{0,59}$'),
  -- A filing that was refused stays as it is; who tries again makes the next one.
  attempt smallint not null default 1 check (attempt between 1 and 100),
  -- Instance of the authority.
  authority text not null check (authority <> ''),
  -- What is filed, as it was decided; it has a plate in it.
  body_sealed text not null,
  -- Counts up when addresses of the evidence that were given out must give nothing any more.
  evidence_version integer not null default 1 check (evidence_version > 0),
  state text not null check (state in ('queued', 'submitting', 'unknown', 'filed', 'in-review', 'decided', 'refused')),
  verdict text check (verdict in ('fined', 'dismissed')),
  -- Minor units, as it was imposed.
  fine bigint check (fine >= 0),
  currency text check (currency ~ '^[A-Z]{3}$'),
  -- The authority's own number.
  reference text check (length(reference) <= 200),
  decided_at timestamptz,
  by_hand boolean not null default false,
  -- For staff: why it stands as it does.
  detail text,
  -- Times that something was asked since it last came on.
  tries integer not null default 0,
  -- When something is to be done with it; null: nothing.
  next_at timestamptz,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, case_id, kind, attempt),
  foreign key (tenant_id, case_id) references mahalla.civic_case (tenant_id, id),
  check ((state = 'decided') = (verdict is not null and decided_at is not null)),
  check ((fine is null) = (currency is null)),
  check (fine is null or verdict = 'fined')
);
-- One decision, one filing: only what was finally refused makes room for another.
create unique index filing_one on mahalla.filing (tenant_id, case_id, kind) where state <> 'refused';
-- Lists: newest first, by state.
create index filing_by_state on mahalla.filing (tenant_id, state, id desc);
-- The queue of each authority, through all tenants.
create index filing_due on mahalla.filing (authority, next_at, id) where next_at is not null;
-- A notice names nothing but our number.
create index filing_by_number on mahalla.filing (id);
select mahalla.protect('mahalla.filing', 'select, insert, update');

-- The only way a filing changes. `unknown` leaves by an answer about it or by a person, never by itself.
create function mahalla.guard_filing() returns trigger language plpgsql as $$
begin
  if (new.tenant_id, new.id, new.case_id, new.kind, new.attempt, new.authority, new.created_at)
     is distinct from
     (old.tenant_id, old.id, old.case_id, old.kind, old.attempt, old.authority, old.created_at)
     or new.evidence_version < old.evidence_version
  then
    raise exception 'filing %: what was decided does not change', old.id using errcode = '23514';
  end if;
  -- `submitting` goes back to `queued` only when the authority surely did nothing; `unknown` is sent again under its own number.
  if old.state <> new.state and (old.state, new.state) not in (
    ('queued', 'submitting'), ('queued', 'decided'),
    ('submitting', 'queued'), ('submitting', 'filed'), ('submitting', 'refused'), ('submitting', 'unknown'),
    ('unknown', 'submitting'), ('unknown', 'filed'), ('unknown', 'in-review'), ('unknown', 'decided'), ('unknown', 'refused'),
    ('filed', 'in-review'), ('filed', 'decided'), ('filed', 'refused'), ('filed', 'unknown'),
    ('in-review', 'filed'), ('in-review', 'decided'), ('in-review', 'refused'), ('in-review', 'unknown'),
    ('refused', 'decided'))
  then
    raise exception 'filing %: no way from % to %', old.id, old.state, new.state using errcode = '23514';
  end if;
  return new;
end
$$;
create trigger guard before update on mahalla.filing for each row execute function mahalla.guard_filing();
