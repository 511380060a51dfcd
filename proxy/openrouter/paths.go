package openrouter

// node is a place in a JSON document whose members are looked at; every other
// place is skipped without a look.
type node uint8

const (
	nodeSkip node = iota
	nodeAnswer
	nodeResponse
	nodeMessage
	nodeUsage
	nodeCostDetails
	nodePromptDetails
	nodeCompletionDetails
	nodeError
	nodeErrorMetadata
	nodeChoices // an array of nodeChoice
	nodeChoice
	nodeDelta
	nodeIncomplete
	nodeRecord // the document of GET /generation
	nodeData
	nodeRequest // the document of a request
)

// member says what the key of an object at n leads to: a place to walk into if
// its value is an object or array, and a field to report if it is a scalar.
func (n node) member(key []byte) (node, field) {
	switch n {
	case nodeAnswer:
		return answerMember(key)
	case nodeResponse:
		return responseMember(key)
	case nodeMessage:
		switch string(key) {
		case "id":
			return nodeSkip, fieldID
		case "model":
			return nodeSkip, fieldModel
		case "provider":
			return nodeSkip, fieldProvider
		case "usage":
			return nodeUsage, noField
		}
	case nodeUsage, nodeCostDetails, nodePromptDetails, nodeCompletionDetails:
		return usageMember(n, key)
	case nodeError, nodeErrorMetadata:
		return errorMember(n, key)
	case nodeChoice:
		if string(key) == "finish_reason" {
			return nodeSkip, fieldFinishReason
		}
	case nodeDelta:
		if string(key) == "stop_reason" {
			return nodeSkip, fieldFinishReason
		}
	case nodeIncomplete:
		if string(key) == "reason" {
			return nodeSkip, fieldFinishReason
		}
	case nodeRecord:
		if string(key) == "data" {
			return nodeData, noField
		}
	case nodeData:
		return nodeSkip, dataField(key)
	case nodeRequest:
		switch string(key) {
		case "model":
			return nodeSkip, fieldModel
		case "stream":
			return nodeSkip, fieldStream
		}
	}
	return nodeSkip, noField
}

// answerMember: the top level of a JSON answer or of one event of a stream.
func answerMember(key []byte) (node, field) {
	switch string(key) {
	case "id":
		return nodeSkip, fieldID
	case "generation_id":
		return nodeSkip, fieldGenerationID
	case "request_id":
		return nodeSkip, fieldRequestID
	case "model":
		return nodeSkip, fieldModel
	case "provider":
		return nodeSkip, fieldProvider
	case "status":
		return nodeSkip, fieldStatus
	case "type":
		return nodeSkip, fieldType
	case "stop_reason":
		return nodeSkip, fieldFinishReason
	case "usage":
		return nodeUsage, noField
	case "error":
		return nodeError, fieldErrorString
	case "choices":
		return nodeChoices, noField
	case "response":
		return nodeResponse, noField
	case "message":
		return nodeMessage, noField
	case "delta":
		return nodeDelta, noField
	case "incomplete_details":
		return nodeIncomplete, noField
	}
	return nodeSkip, noField
}

// responseMember: the response object inside an event of /responses, which is
// what the top level of an answer without a stream is.
func responseMember(key []byte) (node, field) {
	switch string(key) {
	case "id", "model", "provider", "status", "usage", "error", "incomplete_details":
		return answerMember(key)
	}
	return nodeSkip, noField
}

// usageMember: usage as chat, responses and messages spell it.
func usageMember(n node, key []byte) (node, field) {
	switch n {
	case nodeCostDetails:
		if string(key) == "upstream_inference_cost" {
			return nodeSkip, fieldUpstreamCost
		}
		return nodeSkip, noField
	case nodePromptDetails:
		switch string(key) {
		case "cached_tokens":
			return nodeSkip, fieldCachedTokens
		case "cache_write_tokens":
			return nodeSkip, fieldCacheWriteTokens
		}
		return nodeSkip, noField
	case nodeCompletionDetails:
		if string(key) == "reasoning_tokens" {
			return nodeSkip, fieldReasoningTokens
		}
		return nodeSkip, noField
	}
	switch string(key) {
	case "cost":
		return nodeSkip, fieldCost
	case "is_byok":
		return nodeSkip, fieldIsBYOK
	case "cost_details":
		return nodeCostDetails, noField
	case "prompt_tokens", "input_tokens":
		return nodeSkip, fieldPromptTokens
	case "completion_tokens", "output_tokens":
		return nodeSkip, fieldCompletionTokens
	case "total_tokens":
		return nodeSkip, fieldTotalTokens
	case "cache_read_input_tokens":
		return nodeSkip, fieldCachedTokens
	case "cache_creation_input_tokens":
		return nodeSkip, fieldCacheWriteTokens
	case "prompt_tokens_details", "input_tokens_details":
		return nodePromptDetails, noField
	case "completion_tokens_details", "output_tokens_details":
		return nodeCompletionDetails, noField
	}
	return nodeSkip, noField
}

// errorMember: error_type is OpenRouter's stable vocabulary and stands above
// code and type.
func errorMember(n node, key []byte) (node, field) {
	switch string(key) {
	case "error_type":
		return nodeSkip, fieldErrorType
	case "code", "type":
		if n == nodeError {
			return nodeSkip, fieldErrorCode
		}
	case "metadata":
		if n == nodeError {
			return nodeErrorMetadata, noField
		}
	}
	return nodeSkip, noField
}

// dataField: OpenRouter's own record. The native token counts are those that
// were billed and that inline usage shows.
func dataField(key []byte) field {
	switch string(key) {
	case "id":
		return fieldID
	case "model":
		return fieldModel
	case "provider_name":
		return fieldProvider
	case "finish_reason":
		return fieldFinishReason
	case "total_cost":
		return fieldCost
	case "upstream_inference_cost":
		return fieldUpstreamCost
	case "is_byok":
		return fieldIsBYOK
	case "native_tokens_prompt":
		return fieldPromptTokens
	case "native_tokens_completion":
		return fieldCompletionTokens
	case "native_tokens_cached":
		return fieldCachedTokens
	case "native_tokens_reasoning":
		return fieldReasoningTokens
	case "cancelled":
		return fieldCancelled
	case "streamed":
		return fieldStreamed
	}
	return noField
}
