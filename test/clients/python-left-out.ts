/** Tests of Python's public suite that are not run, each with the reason. A name stands for its asynchronous twin too. */
export interface LeftOut {
  /** What cosmos-local/README.md says is not there, or what the test needs that no local account has. */
  reason: string
  tests?: string[]
  files?: string[]
}

export const LEFT_OUT: LeftOut[] = [
  {
    reason: 'README, "What it does not": stored procedures, triggers, user-defined functions',
    tests: [
      'test_partitioned_collection_execute_stored_procedure',
      'test_script_logging_execute_stored_procedure',
      'test_stored_procedure_functionality',
      'test_create_stored_procedure_with_line_separator_para_seperator_next_line_unicodes',
      'test_tentative_writes_header_present',
      'test_tentative_writes_header_not_present',
      'test_sproc_crud',
      'test_trigger_crud',
      'test_trigger_functionality',
      'test_udf_crud',
    ],
  },
  {
    reason: 'README, "What it does not": users and permissions',
    tests: [
      'test_authorization',
      'test_get_resource_with_dictionary_and_object',
      'test_partitioned_collection_permissions',
      'test_permission_crud',
      'test_permission_upsert',
      'test_user_crud',
      'test_user_upsert',
    ],
  },
  { reason: 'README, "What it does not": spatial functions', tests: ['test_geospatial_index'] },
  {
    reason: 'README, "What it does not": there is no index, so nothing is counted from one and none is advised',
    tests: [
      'test_partition_scoped_count_is_index_only',
      'test_full_partition_key_query_pagination_resume_and_count_is_index_only',
      'test_populate_index_metrics',
    ],
  },
  {
    reason: 'README, "What it does not": the command line takes no Entra tokens',
    files: [
      'test_aad.py',
      'test_aad_async.py',
      'test_aad_inference_service_lazy_init.py',
      'test_aad_inference_service_lazy_init_async.py',
    ],
    tests: ['test_overwrite_with_aad_emulator_credential'],
  },
  {
    reason: 'README, "What it does not": partitions split at once, so no client sees one that is splitting',
    tests: ['test_existing_child_revision_does_not_full_reload'],
  },
  {
    reason: 'README, "What it does not": each operation of a batch has an LSN of its own',
    tests: ['test_batch_lsn'],
  },
  { reason: 'resumes from a continuation of another account', tests: ['test_query_with_static_continuation'] },
  {
    reason: 'its data (BaselineTest.PathParser.json) is not published',
    tests: ['test_partitioned_collection_path_parser'],
  },
  {
    reason: 'expects that connecting takes longer than a millisecond, which it never does on one machine',
    tests: ['test_read_timeout'],
  },
  { reason: "expects the ranges of Microsoft's emulator, digit for digit", tests: ['test_pk_range_wrapper'] },
]
