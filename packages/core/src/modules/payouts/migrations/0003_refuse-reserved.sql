-- What was set aside and not sent may be refused by a person; all else is as it was. An older server never does it.
create or replace function mahalla.guard_payout() returns trigger language plpgsql as $$
begin
  if (new.tenant_id, new.id, new.case_id, new.rule, new.attempt, new.principal_id, new.amount, new.currency)
     is distinct from
     (old.tenant_id, old.id, old.case_id, old.rule, old.attempt, old.principal_id, old.amount, old.currency)
     or (old.pending_id is not null and new.pending_id is distinct from old.pending_id)
  then
    raise exception 'payout %: what was decided does not change', old.id using errcode = '23514';
  end if;
  -- `submitting` goes back to `reserved` only when the rail surely did nothing.
  if old.state <> new.state and (old.state, new.state) not in (
    ('requested', 'reserved'), ('requested', 'manual'), ('reserved', 'submitting'), ('reserved', 'failed'),
    ('submitting', 'succeeded'), ('submitting', 'failed'), ('submitting', 'unknown'), ('submitting', 'reserved'),
    ('unknown', 'succeeded'), ('unknown', 'failed'), ('unknown', 'manual'),
    ('manual', 'succeeded'), ('manual', 'failed'))
  then
    raise exception 'payout %: no way from % to %', old.id, old.state, new.state using errcode = '23514';
  end if;
  return new;
end
$$;
