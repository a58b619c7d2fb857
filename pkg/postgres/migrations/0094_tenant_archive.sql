-- Written by the console (tenant): where the counterpart of a contact that was
-- deleted in the other system is archived.
ALTER TABLE tenant ADD COLUMN archive text NOT NULL DEFAULT 'none' CHECK (archive IN ('both', 'to_aloware', 'to_hubspot', 'none'));
