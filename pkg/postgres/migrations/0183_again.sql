-- Written by the writers alone. A row that failed does not stand behind all that waits
-- for its first call. What may go with a live edit's call is found for it among all that
-- waits.
ALTER TABLE lane_row ADD COLUMN rides boolean NOT NULL DEFAULT false;
CREATE INDEX lane_row_again ON lane_row (system, partition, tenant, next_at) WHERE bulk AND attempts > 0;
CREATE INDEX lane_row_rides ON lane_row (system, partition, tenant, next_at) WHERE bulk AND rides;

-- Written by the mapper alone. The references of a contact are found by the contact
-- alone, of which other tenants have hardly any of the same name: what is looked up by
-- tenant, kind and value has but one index then, and its plan can be kept.
DROP INDEX contact_ref_contact;
CREATE INDEX contact_ref_contact ON contact_ref (contact);
